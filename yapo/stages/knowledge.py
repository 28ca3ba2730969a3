"""Stage ``knowledge``: what the model knows under each method's vector of one country, compared with the baseline."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.data.prompts import TASKS
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.evaluation.knowledge import SteeredLM
from yapo.evaluation.knowledge_tasks import Questions, compare, culture_task
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.stages.app import run
from yapo.stages.inputs import read_sae
from yapo.stages.study import Study, check_country
from yapo.steering.vector import SteeringVector

COLUMNS = [
    "language", "country", "method", "multiplier", "task", "part_of", "about", "metric",
    "value", "stderr", "n", "change", "change_stderr",
]  # fmt: skip


def main(config: Config) -> None:
    """Writes ``knowledge.parquet`` for ``country``: the baseline's rows, then those of every method.

    Columns:
        method, multiplier: whose vector, and its λ; 0 for the baseline.
        task, part_of: lm-eval's name of a task or group, and of the group that it belongs to.
        about: what our own tasks are about, seen from the steered country: "own", "same language", "other languages"; empty
            for lm-eval's tasks.
        metric, value, stderr, n: as lm-eval gives them.
        change, change_stderr: difference from the baseline on the same questions, NaN for the baseline itself.
    """
    study, settings = Study.of(config), config.knowledge
    known = known_countries(config.data)
    check_country(config.country, known)
    language = known[config.country]
    folder = study.root / "knowledge"
    questions = Questions(settings, folder / "tasks")
    before, answers_before = read_table(folder / "baseline.parquet"), read_table(folder / "baseline_answers.parquet")
    vectors = {method: _vector(config, study, language, method) for method in config.methods}
    lm = load_language_model(config.model)
    model = SteeredLM(lm, batch_size=settings.batch_size)
    sparse = [vector.info.layer for vector in vectors.values() if vector.info.space == "sparse"]
    model.sae = read_sae(config, sparse[0], lm.d_model).to(lm.device) if sparse else None
    frames = [before.assign(method="baseline", multiplier=0.0, change=float("nan"), change_stderr=float("nan"))]
    for method, vector in vectors.items():
        model.vector = vector
        rows = compare(questions, *questions.ask(model), before, answers_before)
        frames.append(rows.assign(method=method, multiplier=vector.info.multiplier))
    rows = pd.concat(frames, ignore_index=True).assign(language=language, country=config.country)
    rows["about"] = rows["task"].map(_about(config.country, known)).fillna("")
    write_parquet(study.country(language, config.country) / "knowledge.parquet", rows[COLUMNS])


def _vector(config: Config, study: Study, language: str, method: str) -> SteeringVector:
    """The vector chosen for a country by a method."""
    task, setting = config.knowledge.vector_task, config.knowledge.vector_setting
    for key, value, made in (("vector_task", task, config.tasks), ("vector_setting", setting, config.settings)):
        if value not in made:
            raise YapoError(f"knowledge.{key}={value}: the study has vectors for {', '.join(made)}; choose one of them")
    return SteeringVector.load(study.vector(language, config.country, method, task, setting))


def _about(country: str, known: dict[str, str]) -> dict[str, str]:
    """What each of our own tasks is about, seen from a country."""
    relation = {other: "same language" if known[other] == known[country] else "other languages" for other in known}
    relation[country] = "own"
    return {culture_task(task, other): what for other, what in relation.items() for task in TASKS}


if __name__ == "__main__":
    run(main)
