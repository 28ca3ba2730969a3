"""Stage ``open_answers``: sampled answers to one country's open-ended test questions, and what judges say of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from yapo.config import Config, JudgeConfig
from yapo.evaluation.completer import Completer
from yapo.evaluation.decoding import Condition, Sampling
from yapo.evaluation.judges import Judge, get_judge
from yapo.evaluation.judges.axbench import PARTS, axbench_rubric
from yapo.evaluation.prompt_control import named_questions
from yapo.evaluation.scoring import judge_requests
from yapo.files import write_json, write_parquet
from yapo.reporting.names import label
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format
from yapo.stages.vectors import check_vectors
from yapo.studies.country_job import CountryJob
from yapo.studies.open_answers.second_judge import second_judge

READS = (
    "data.seed",
    "prompts",
    "model",
    "sae",
    "generation",
    "judge",
    "methods",
    "studies.open_answers.setting",
    "studies.open_answers.samples",
    "studies.open_answers.temperature",
    "studies.open_answers.seed",
    "studies.open_answers.judged_samples",
    "studies.open_answers.second_judge",
)
NAME = "open_answers"
COLUMNS = [
    "language", "country", "method", "question_id", "variant", "phrasing", "question", "answer", "sample", "completion",
    "judged", "score", "second_score", *PARTS,
]  # fmt: skip


def main(config: Config) -> None:
    """Write ``studies/open_answers.parquet`` for ``country``, one row per method, test question and sample, and what judges took.

    Columns beside the usual ones:
        method: also ``baseline``, ``prompt`` (the country named in the question) and ``random``.
        judged: whether judges were asked; where they were, a missing grade is a reply that could not be read.
        score, second_score: by both judges, 0 to 10; the second is missing where both are the offline reference.
        concept, instruct, fluency: 0 to 2 each, by the first of them that is a model; missing where none is.
    """
    study = config.studies.open_answers
    check_vectors(config, "studies.open_answers.setting", setting=study.setting)
    judges = {"score": config.judge, "second_score": second_judge(config)}
    job = CountryJob.open(config)
    rows, path = sampled_answers(job), job.rows(NAME)
    rows["judged"] = rows["sample"] < study.judged_samples
    graded, reports = grades_of(rows[rows["judged"]], judges, label("country", config.country))
    write_parquet(path, rows.join(graded)[COLUMNS])
    write_json(path.with_suffix(".json"), reports)


def sampled_answers(job: CountryJob) -> pd.DataFrame:
    """Return the answers of every condition: the asked items with ``method``, ``sample`` and ``completion``.

    All conditions draw the same random numbers for a question and sample.
    """
    config, cache = job.config, job.cache(NAME)
    study = config.studies.open_answers
    steered = {method: vector.chosen for method, vector in job.vectors(study.task, study.setting).items()}
    completer = Completer(prompt_format(config), config.generation, cache)
    validation, asked = (job.questions(split, study.setting).reset_index(drop=True) for split in ("validation", "test"))
    control = job.control(completer.token_ids(validation, study.task), steered.values())
    conditions = {"baseline": Condition(), "random": control, **steered}
    sampling = Sampling(study.temperature, study.seed)

    def sample(questions: pd.DataFrame, ways: Sequence[Condition]) -> list[list[str]]:
        prompts = completer.token_ids(questions, study.task) * study.samples
        return cache.complete(prompts, ways, config.generation.max_new_tokens(study.task), sampling)

    with cache:
        written = dict(zip(conditions, sample(asked, list(conditions.values())), strict=True))
        (written["prompt"],) = sample(asked.assign(question=named_questions(job.items, asked)), [Condition()])
    repeated = pd.concat([asked.assign(sample=number) for number in range(study.samples)], ignore_index=True)
    return pd.concat([repeated.assign(method=m, completion=texts) for m, texts in written.items()], ignore_index=True)


def grades_of(
    rows: pd.DataFrame, judges: dict[str, JudgeConfig], country: str
) -> tuple[pd.DataFrame, dict[str, dict[str, object]]]:
    """Return grades of answers, indexed as they are, and the report of every judge that was asked, by its column.

    Args:
        rows: ``question``, ``answer`` and ``completion``.
        judges: the two judges, by the column of their scores.
        country: as it is named to a judge of the concept.
    """
    models = [settings for settings in judges.values() if settings.name != "offline"]
    graded = pd.DataFrame(np.nan, rows.index, [*judges, *PARTS])
    reports: dict[str, dict[str, object]] = {}

    def ask(column: str, judge: Judge) -> None:
        given = judge.judge(judge_requests(rows, rows["completion"].tolist()))
        graded[column] = np.array([judgement.score for judgement in given], dtype=float)
        reports[column] = judge.report()

    for column, settings in judges.items():
        if column == "score" or models:
            ask(column, get_judge(settings))
    for part in PARTS if models else ():
        ask(part, get_judge(models[0], axbench_rubric(part, f"everyday life of this country or region: {country}")))
    return graded, reports


if __name__ == "__main__":
    run(main)
