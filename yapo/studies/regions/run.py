"""Stage ``regions``: the answers of all places of a country, weighed under the vectors of one of them."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from yapo.config import Config
from yapo.data.schema import by_place, read_table
from yapo.evaluation.decoding import Condition
from yapo.evaluation.likelihood import answer_log_probs
from yapo.evaluation.options import OptionAnswers
from yapo.evaluation.prompt_control import named_questions
from yapo.files import write_parquet
from yapo.names import place_parts
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format
from yapo.studies.country_job import CountryJob

READS = (
    "data.seed", "prompts", "model", "sae", "generation.likelihood", "methods", "studies.regions.task", "studies.regions.setting",
)  # fmt: skip
NAME = "regions"
ITEM = ["question_id", "phrasing"]
COLUMNS = ["language", "country", "method", *ITEM, "answer_of", "log_prob"]


def main(config: Config) -> None:
    """Write ``studies/regions.parquet`` for the place that ``country`` names: one row per condition, test question and answer.

    The questions name no place, and another place of the country has an answer too. Columns beside the usual ones:
        country: whose vector it is, a country or region. The unsteered model and the controls stand under it too; "prompt" is the
            unsteered model, asked the form of the question that names it.
        answer_of: the place whose answer is weighed.
        log_prob: of that answer, as ``generation.likelihood.metric`` counts its length.
    """
    settings, job = config.studies.regions, CountryJob.open(config)
    asked = job.questions("test", "nonlocalized")
    answers = answers_of(by_place(read_table(Paths.of(config).items)), place_parts(config.country)[0])
    asked = asked[asked["question_id"].map(lambda fact: len(answers[fact]) > 1)].reset_index(drop=True)
    if asked.empty:  # of a country without regions
        write_parquet(job.rows(NAME), pd.DataFrame(columns=COLUMNS).astype({"phrasing": int, "log_prob": float}))
        return
    places = [answers[fact] for fact in asked["question_id"]]
    asked = asked.assign(options=pd.Series([list(of_places.values()) for of_places in places]))
    lm, layer = job.lm, job.layer
    chosen = {method: vector.chosen for method, vector in job.vectors(settings.task, settings.setting).items()}
    prompts, likelihood = prompt_format(config), replace(config.generation.likelihood, answer="text")
    plain = OptionAnswers.of(asked, prompts, lm.tokenizer, likelihood)
    named = OptionAnswers.of(asked.assign(question=named_questions(job.items, asked)), prompts, lm.tokenizer, likelihood)
    control = job.control([question.prompt for question in plain.questions], chosen.values())
    conditions = {"baseline": Condition(), "random": control, **chosen}
    measured = answer_log_probs(lm, layer, plain.questions, list(conditions.values()), config.model.batch_size)
    measured += answer_log_probs(lm, layer, named.questions, [Condition()], config.model.batch_size)
    rows = [
        (method, *asked.loc[i, ITEM], answer_of, log_prob / length)
        for method, of_questions in zip((*conditions, "prompt"), measured, strict=True)
        for i, (log_probs, lengths) in enumerate(zip(of_questions, plain.lengths, strict=True))
        for answer_of, log_prob, length in zip(places[i], log_probs, lengths, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["method", *ITEM, "answer_of", "log_prob"])
    write_parquet(job.rows(NAME), frame.assign(**job.labels)[COLUMNS])


def answers_of(items: pd.DataFrame, country: str) -> dict[str, dict[str, str]]:
    """Return the answers to each fact by place, of a country and its regions.

    Args:
        items: of all places (``yapo.data.schema.by_place``).
        country: without a region.
    """
    near = items[items["country"].map(lambda place: place_parts(place)[0]) == country]
    found: dict[str, dict[str, str]] = {}
    for fact, place, answer in near[["question_id", "country", "answer"]].itertuples(index=False, name=None):
        found.setdefault(fact, {}).setdefault(place, answer)
    return found


if __name__ == "__main__":
    run(main)
