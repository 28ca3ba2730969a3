"""Stage ``evaluate``: choose epoch and multiplier on validation, answer the test questions, keep the chosen vectors."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.errors import YapoError
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Candidate, Evaluator
from yapo.evaluation.judges import get_judge
from yapo.evaluation.selection import Key
from yapo.files import write_json, write_parquet
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.stages.app import run
from yapo.stages.inputs import language_of, prompt_format, read_items, read_layer, read_sae
from yapo.stages.study import Study
from yapo.steering.applied import Applied
from yapo.steering.vector import TrainedVector

READS = ("prompts", "model", "sae", "generation", "selection", "judge", "tasks", "settings", "methods")

TEST_COLUMNS = [
    "language", "country", "task", "setting", "method", "variant", "question_id", "phrasing", "multiplier", "epoch",
    "score", "parsed", "exact", "completion", "answer", "question",
]  # fmt: skip


def main(config: Config) -> None:
    """Writes ``validation.parquet``, ``evaluation.parquet`` and ``vectors/`` for ``country``."""
    study, layer, judge = Study.of(config), read_layer(config), get_judge(config.judge)
    items = read_items(config, config.country)
    language = language_of(items)
    lm = load_language_model(config.model)
    lm.check_layer(layer)
    trained = trained_vectors(config, study, language)
    candidates = candidates_of(config, trained, lm, layer)
    cache = CompletionCache(study.country(language, config.country) / "completions.json", lm, layer, config.model.batch_size)
    evaluator = Evaluator(lm, layer, items, prompt_format(config), config.generation, judge, cache)
    cells = [(task, setting) for task in config.tasks for setting in config.settings]
    with cache:
        chosen, grid = evaluator.select(candidates, config.selection.multipliers)
        baseline = evaluator.baseline_validation(config.tasks, config.settings)
        tested = evaluator.test(candidates, chosen, cells, seed=config.data.seed)
    for key, trial in chosen.items():
        trained[key].chosen(trial.epoch, trial.multiplier).save(study.vector(language, config.country, *key))
    place = {"language": items["language"].iloc[0], "country": config.country}
    write_parquet(study.validation(language, config.country), pd.concat([baseline, grid], ignore_index=True).assign(**place))
    write_parquet(study.evaluation(language, config.country), tested[TEST_COLUMNS])
    write_json(study.judged(language, config.country), judge.report())


def trained_vectors(config: Config, study: Study, language: str) -> dict[Key, TrainedVector]:
    """Every trained vector of the country."""
    return {
        (method, task, setting): TrainedVector.load(
            study.trained(language, config.country, method) / f"{task}-{setting}.safetensors"
        )
        for method in config.methods
        for task in config.tasks
        for setting in config.settings
    }


def candidates_of(config: Config, trained: dict[Key, TrainedVector], lm: LanguageModel, layer: int) -> dict[Key, Candidate]:
    """How each is applied; refuses vectors made for something else. A map names its layers itself."""
    applied = Applied(lm.d_model, lambda own_layer: read_sae(config, own_layer, lm.d_model).to(lm.device), lm.device)
    candidates: dict[Key, Candidate] = {}
    for key, vector in trained.items():
        info, name = vector.info, "the vector {} {}-{}".format(*key)
        if info.model_digest != lm.digest or (vector.map is None and info.layer != layer):
            raise YapoError(f"{name}: made for {info.model} ({info.model_digest}) layer {info.layer}; train it for this model")
        lm.check_layer(info.layer)
        try:
            intervention = applied.intervention(info, vector.map)
        except YapoError as error:
            raise YapoError(f"{name}: {error}; train it again") from None
        if vector.epochs.shape[1] != intervention.width:
            raise YapoError(f"{name}: has {vector.epochs.shape[1]} entries, not {intervention.width}; train it for this model")
        candidates[key] = Candidate(vector.epochs, intervention, info.steer_bos)
    return candidates


if __name__ == "__main__":
    run(main)
