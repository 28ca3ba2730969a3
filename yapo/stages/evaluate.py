"""Stage ``evaluate``: choose epoch and multiplier on validation, answer the test questions, keep the chosen vectors."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from yapo.config import Config
from yapo.errors import YapoError
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Candidate, Evaluator
from yapo.evaluation.judges import get_judge
from yapo.evaluation.selection import Key
from yapo.files import write_json, write_parquet
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE
from yapo.stages.app import run
from yapo.stages.inputs import language_of, prompt_format, read_items, read_layer, read_sae
from yapo.stages.study import Study
from yapo.steering.intervention import Dense, Intervention, Sparse
from yapo.steering.vector import SteeringVector, VectorInfo
from yapo.tensors import load_tensors

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
    sae = read_sae(config, layer, lm.d_model).to(lm.device)
    candidates, infos = _candidates(config, study, language, lm, sae, layer)
    cache = CompletionCache(study.country(language, config.country) / "completions.json", lm, layer, config.model.batch_size)
    evaluator = Evaluator(lm, layer, items, prompt_format(config), config.generation, judge, cache)
    cells = [(task, setting) for task in config.tasks for setting in config.settings]
    with cache:
        chosen, grid = evaluator.select(candidates, config.selection.multipliers)
        baseline = evaluator.baseline_validation(config.tasks, config.settings)
        tested = evaluator.test(candidates, chosen, cells, seed=config.data.seed)
    for key, trial in chosen.items():
        info = replace(infos[key], multiplier=trial.multiplier, extra={**infos[key].extra, "epoch": trial.epoch})
        vector = SteeringVector(candidates[key].epochs[trial.epoch - 1].clone(), info)
        vector.save(study.vector(language, config.country, *key))
    place = {"language": items["language"].iloc[0], "country": config.country}
    write_parquet(study.validation(language, config.country), pd.concat([baseline, grid], ignore_index=True).assign(**place))
    write_parquet(study.evaluation(language, config.country), tested[TEST_COLUMNS])
    write_json(study.judged(language, config.country), judge.report())


def _candidates(
    config: Config, study: Study, language: str, lm: LanguageModel, sae: SAE, layer: int
) -> tuple[dict[Key, Candidate], dict[Key, VectorInfo]]:
    """Every trained vector of the country, with its header; refuses vectors made for something else."""
    interventions: dict[tuple[str, str], Intervention] = {}
    candidates: dict[Key, Candidate] = {}
    infos: dict[Key, VectorInfo] = {}
    for method in config.methods:
        for task in config.tasks:
            for setting in config.settings:
                path = study.trained(language, config.country, method) / f"{task}-{setting}.safetensors"
                tensors, header = load_tensors(path)
                info = VectorInfo.of(header, path)
                if (info.model_digest, info.layer) != (lm.digest, layer):
                    raise YapoError(
                        f"{path}: made for {info.model} ({info.model_digest}) layer {info.layer}; train it for this model"
                    )
                if info.sae_digest not in ("", sae.digest):
                    raise YapoError(f"{path}: made with another autoencoder ({info.sae}); train it again")
                kind = (info.space, info.threshold)
                if kind not in interventions:
                    interventions[kind] = Dense(lm.d_model) if info.space == "dense" else Sparse(sae, info.threshold)
                candidates[method, task, setting] = Candidate(tensors["epochs"], interventions[kind], info.steer_bos)
                infos[method, task, setting] = info
    return candidates, infos


if __name__ == "__main__":
    run(main)
