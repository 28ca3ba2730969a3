"""Stage ``knowledge``: general knowledge under each method's vector of one country, compared with the baseline."""

from __future__ import annotations

import pandas as pd

from yapo.checks import TASKS
from yapo.config import Config
from yapo.dag.scope import check_country
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError, require_extra
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.files import write_parquet
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format, read_items, read_layer, read_sae
from yapo.steering.spaces import DENSE
from yapo.steering.vector import SteeringVector, VectorInfo

READS = ("data.seed", "prompts", "model", "sae", "methods", "knowledge")

NAME = "knowledge"
COLUMNS = [
    "language", "country", "method", "multiplier", "questions", "task", "about", "metric", "question_id", "value", "stderr", "n",
]  # fmt: skip


def main(config: Config) -> None:
    """Write ``studies/knowledge.parquet`` for ``country``: the baseline's rows, then the control's, then those of every method.

    Columns:
        method, multiplier: of the vector, and its λ; 0 for the baseline, 1 for the control.
        about: relation of our own task's country to the steered one ("own", "same language", "other languages"); empty
            for lm-eval's tasks.
        the others: as ``Questions.ask`` gives them.
    """
    require_extra("knowledge", "lm_eval")  # before the imports that need it
    from yapo.studies.knowledge.steered_lm import SteeredLM
    from yapo.studies.knowledge.tasks import Questions, check_same_questions

    paths, settings = Paths.of(config), config.knowledge
    known = known_countries(config.data)
    check_country(config.country, known)
    language_folder = known[config.country]
    folder = paths.root / "knowledge"
    questions, before = Questions(settings, folder / "tasks"), read_table(folder / "baseline.parquet")
    vectors = {method: _vector(config, paths, language_folder, method) for method in config.methods}
    lm = load_language_model(config.model)
    model = SteeredLM(lm, batch_size=settings.batch_size)
    layers = {layer for vector in vectors.values() for layer in vector.autoencoders}
    model.sae = saes = {layer: read_sae(config, layer, lm.d_model).to(lm.device) for layer in sorted(layers)}
    frames = [before.assign(method="baseline", multiplier=0.0)]
    for method, vector in {"random": _control(config, lm, saes, vectors), **vectors}.items():
        model.vector = vector
        rows = questions.ask(model)
        check_same_questions(rows, before)
        frames.append(rows.assign(method=method, multiplier=vector.info.multiplier))
    language = read_items(config, config.country)["language"].iloc[0]
    rows = pd.concat(frames, ignore_index=True).assign(language=language, country=config.country)
    rows["about"] = rows["task"].map(_about(config.country, known)).fillna("")
    write_parquet(paths.study_rows(NAME, language_folder, config.country), rows[COLUMNS])


def _control(config: Config, lm: LanguageModel, saes: dict[int, SAE], vectors: dict[str, SteeringVector]) -> SteeringVector:
    """Return the random direction of the tables, as strong as the strongest of these vectors."""
    task, setting = config.knowledge.vector_task, config.knowledge.vector_setting
    items = read_items(config, config.country)
    asked = items[(items["split"] == "validation") & ((items["variant"] == setting) | (setting == "both"))].head(CONTROL_PROMPTS)
    prompts = [lm.tokenizer.prompt(text) for text in prompt_format(config).prompts(task, asked)]
    layer = read_layer(config)
    residual = Residual.of(lm, layer, prompts)
    moved = [residual.displacement(_condition(vector, lm, saes)) for vector in vectors.values()]
    control = random_control(moved, lm.d_model, config.data.seed)
    assert control.u is not None
    return SteeringVector(control.u, VectorInfo("random", DENSE.name, layer, lm.source, lm.digest))


def _condition(vector: SteeringVector, lm: LanguageModel, saes: dict[int, SAE]) -> Condition:
    """Return steering by a chosen vector."""
    intervention = vector.intervention(lm.d_model, saes.__getitem__, lm.device)
    return Condition(intervention, vector.info.multiplier * vector.values, vector.info.steer_bos)


def _vector(config: Config, paths: Paths, language_folder: str, method: str) -> SteeringVector:
    """Return the vector chosen for a country by a method."""
    task, setting = config.knowledge.vector_task, config.knowledge.vector_setting
    for key, value, made in (("vector_task", task, config.tasks), ("vector_setting", setting, config.settings)):
        if value not in made:
            raise YapoError(f"knowledge.{key}={value}: the study has vectors for {', '.join(made)}; choose one of them")
    return SteeringVector.load(paths.vector(language_folder, config.country, method, task, setting))


def _about(country: str, known: dict[str, str]) -> dict[str, str]:
    """Return for each of our own tasks the relation of its country to the steered one."""

    from yapo.studies.knowledge.tasks import culture_task

    relation = {other: "same language" if known[other] == known[country] else "other languages" for other in known}
    relation[country] = "own"
    return {culture_task(task, other): what for other, what in relation.items() for task in TASKS}


if __name__ == "__main__":
    run(main)
