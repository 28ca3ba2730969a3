"""Stage ``train``: one method's vectors for one country, for every task and setting."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

import torch
from torch import Tensor

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.files import digest, file_digest, write_json
from yapo.models.sae import SAE
from yapo.stages.app import run
from yapo.stages.inputs import read_layer, read_sae
from yapo.stages.study import Study, check_country
from yapo.steering.conditional import ConditionalMap
from yapo.steering.intervention import Dense, Sparse
from yapo.steering.methods import FitInputs, get_method
from yapo.steering.methods.base import Elsewhere
from yapo.steering.progress import Row
from yapo.steering.sets import TrainSet, train_sets
from yapo.steering.store import ActivationStore
from yapo.steering.vector import MAP_CONVENTION, TrainedVector, VectorInfo

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

log = logging.getLogger(__name__)
PACKAGES = ("torch", "transformers", "sae-lens", "numpy", "pandas")


def main(config: Config) -> None:
    """Writes ``train/<method>/``: ``<task>-<setting>.safetensors``, ``curves.jsonl`` and ``run.json``."""
    study, layer, method = Study.of(config), read_layer(config), get_method(config.method.name)
    known = known_countries(config.data)
    check_country(config.country, known)
    language = known[config.country]
    folder = study.trained(language, config.country, method.name)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "curves.jsonl.partial"
    maps: dict[str, ConditionalMap] = {}

    @cache
    def language_model(first: int) -> LanguageModel:
        from yapo.models.language_model import load_language_model

        return load_language_model(config.model, first=first)

    @cache
    def autoencoder(own_layer: int) -> SAE:
        return read_sae(config, own_layer, language_model(0).d_model)

    with partial.open("w", encoding="utf-8") as curves:
        hashes = []
        for task in config.tasks:
            store, header = ActivationStore.load(study.store(language, config.country, task))
            pairs = study.pairs(language, config.country, task)
            sae = read_sae(config, layer, store.hidden[0].shape[-1])
            if header["pairs_hash"] != file_digest(pairs):
                raise YapoError(f"{pairs}: not the pairs whose activations were kept; run the stage prepare again")
            rows = read_table(pairs)
            recorder = _Log(curves, task)
            inputs = FitInputs(
                store=store,
                rows=rows,
                sets=train_sets(rows, config.settings),
                layer=layer,
                sae=sae,
                language_model=lambda: language_model(layer + 1),
                train=config.train,
                options=config.method.options,
                log=recorder,
                checkpoint=folder / f"{task}.checkpoint.safetensors",
                elsewhere=Elsewhere(lambda: language_model(0), autoencoder, config.sae.min_explained_variance, maps.__setitem__),
            )
            vectors = method.fit(inputs)
            for part in inputs.sets:
                epochs = vectors[part.name]
                if part.name not in recorder.settings:  # closed form: one row, so that every method shows where it ended
                    inputs.log(_closing_row(method.space, inputs, part, epochs[-1]))
                info = _info(config, method.space, store, header, sae, language, task, part.name)
                made = maps.pop(part.name, None)
                if made is not None:
                    own: dict[str, Any] = {
                        "layer": made.info.layer_out,
                        "sae": made.info.sae_out,
                        "sae_digest": made.info.sae_out_digest,
                    }
                    info = replace(info, **own, convention=MAP_CONVENTION)
                TrainedVector(epochs, info, made).save(folder / f"{task}-{part.name}.safetensors")
            hashes.append(header["data_hash"])
            log.info("%s %s %s: %s", config.country, method.name, task, ", ".join(vectors))
    write_json(
        folder / "run.json",
        {
            "method": method.name,
            "country": config.country,
            "language": language,
            "seed": config.train.seed,
            "layer": layer,
            "config": {
                "method": asdict(config.method),
                "train": asdict(config.train),
                "model": asdict(config.model),
                "sae": asdict(config.sae),
            },
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "data_hash": digest(hashes),
        },
    )
    os.replace(partial, folder / "curves.jsonl")
    for checkpoint in folder.glob("*.checkpoint.safetensors"):
        checkpoint.unlink()


class _Log:
    """Appends rows to the curves file as they come, so that they can be watched."""

    def __init__(self, file: TextIO, task: str) -> None:
        self.file, self.task = file, task
        self.settings: set[object] = set()

    def __call__(self, row: Row) -> None:
        self.file.write(json.dumps({"task": self.task, **row}, sort_keys=True) + "\n")
        self.settings.add(row["setting"])
        if row["kind"] == "epoch":
            self.file.flush()


def _closing_row(space: str, inputs: FitInputs, part: TrainSet, vector: Tensor) -> Row:
    """Size of a vector that was not trained, and how far it moves the residual stream of the validation pairs."""
    intervention = Dense(inputs.sae.d_model) if space == "dense" else Sparse(inputs.sae)
    states = [inputs.store.hidden[i][None, 1:] for i in part.validation]
    moved = [intervention.displacement(h, vector, torch.ones(h.shape[:2], dtype=torch.bool)) for h in states]
    size = {"norm": float(vector.norm()), "l0": int((vector != 0).sum())}
    return {"kind": "epoch", "setting": part.name, "step": 0, "epoch": 1, "displacement": sum(moved) / len(moved), **size}


def _info(
    config: Config,
    space: str,
    store: ActivationStore,
    header: dict[str, object],
    sae: SAE,
    language: str,
    task: str,
    setting: str,
) -> VectorInfo:
    return VectorInfo(
        method=config.method.name,
        space=space,
        layer=store.key.layer,
        model=str(header["model"]),
        model_digest=store.key.model,
        sae=sae.source if space == "sparse" else "",
        sae_digest=sae.digest if space == "sparse" else "",
        threshold=str(config.method.options.get("threshold", "relu")),
        steer_bos=config.train.steer_bos,
        data_hash=str(header["data_hash"]),
        config_hash=digest([asdict(config.method), asdict(config.train), asdict(config.prompts)]),
        extra={"country": config.country, "language": language, "task": task, "setting": setting, "seed": config.train.seed},
    )


if __name__ == "__main__":
    run(main)
