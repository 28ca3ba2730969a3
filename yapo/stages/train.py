"""Stage ``train``: one method's vectors for one country, for every task and setting."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import torch

from yapo.config import Config
from yapo.dag.scope import check_country
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.files import digest, remove_empty, write_json
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import read_layer, read_sae
from yapo.stages.pairs import PreparedPairs, fit_inputs, models_of, read_prepared
from yapo.steering.method import FitInputs
from yapo.steering.methods import get_method
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet, train_sets
from yapo.steering.vector import TrainedVector
from yapo.tensors import check_finite

READS = ("prompts", "model", "sae", "method", "train", "tasks", "settings")

log = logging.getLogger(__name__)
PACKAGES = ("torch", "transformers", "sae-lens", "numpy", "pandas")


def main(config: Config) -> None:
    """Writes ``train/<method>/``: ``<task>-<setting>.safetensors``, ``curves.jsonl`` and ``run.json``.

    Everything is checked before a file is opened, and the vectors of all tasks are made before the first is written, so that a
    training that is refused or stops leaves the folder as it was.
    """
    paths, layer, method = Paths.of(config), read_layer(config), get_method(config.method.name)
    known = known_countries(config.data)
    check_country(config.country, known)
    language = known[config.country]
    folder = paths.trained(language, config.country, config.method.name)
    prepared: dict[str, PreparedPairs] = {task: read_prepared(paths, language, config.country, task) for task in config.tasks}
    sae = read_sae(config, layer, next(iter(prepared.values())).store.hidden[0].shape[-1])
    models, vectors = models_of(config), dict[Path, TrainedVector]()
    with _Curves(folder / "curves.jsonl") as curves:
        inputs = {
            task: fit_inputs(
                pairs,
                train_sets(pairs.rows, config.settings),
                layer,
                sae,
                models,
                config.method,
                config.train,
                config.prompts,
                log=curves.of(task),
                checkpoint=folder / f"{task}.checkpoint.safetensors",
                extra={"country": config.country, "language": language, "task": task},
            )
            for task, pairs in prepared.items()
        }
        for task, own in inputs.items():
            learned = method.fit(own)
            for part in own.sets:
                path, vector = folder / f"{task}-{part.name}.safetensors", learned[part.name]
                check_finite(path, {"epochs": vector.epochs})
                if (task, part.name) not in curves.known:  # closed form: one row, so that every method shows where it ended
                    own.log(_closing_row(own, part, vector))
                vectors[path] = vector
            log.info("%s %s %s: %s", config.country, config.method.name, task, ", ".join(learned))
        for path, vector in vectors.items():
            vector.save(path)
        write_json(folder / "run.json", _report(config, language, layer, prepared))
        curves.keep()
    for checkpoint in folder.glob("*.checkpoint.safetensors"):
        checkpoint.unlink()


def _report(config: Config, language: str, layer: int, prepared: dict[str, PreparedPairs]) -> dict[str, Any]:
    """Return the contents of ``run.json``."""
    return {
        "method": config.method.name,
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
        "data_hash": digest([pairs.data_hash for pairs in prepared.values()]),
    }


class _Curves:
    """Appends rows to a curves file as they come, so that they can be watched; its name ends in ``.partial`` until ``keep``.

    The first row opens it. Where the stage ends with bad input, it is removed, and so are folders that would stay empty.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.partial = path, path.with_name(path.name + ".partial")
        self.known: set[tuple[str, object]] = set()  # task and setting of the rows so far
        self._file: TextIO | None = None

    def __enter__(self) -> _Curves:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            if isinstance(error, YapoError):
                self.partial.unlink(missing_ok=True)
                remove_empty(self.path.parent)

    def of(self, task: str) -> Callable[[LogRow], None]:
        """Receives the rows of a task."""

        def write(row: LogRow) -> None:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.partial.open("w", encoding="utf-8")
            self._file.write(json.dumps({"task": task, **row}, sort_keys=True) + "\n")
            self.known.add((task, row["setting"]))
            if row["kind"] == "epoch":
                self._file.flush()

        return write

    def keep(self) -> None:
        """Give the file its name."""
        assert self._file is not None, "every vector has a row"
        self._file.close()
        os.replace(self.partial, self.path)


def _closing_row(inputs: FitInputs, part: TrainSet, vector: TrainedVector) -> LogRow:
    """Return the size of a vector that was not trained, and how far it moves the residual stream of the validation pairs."""
    v, intervention = vector.epochs[-1], vector.intervention(inputs.sae.d_model, lambda _: inputs.sae)
    first = 0 if inputs.train.steer_bos else 1
    states = [inputs.store.hidden[i][None, first:] for i in part.validation]
    moved = [intervention.displacement(h, v, torch.ones(h.shape[:2], dtype=torch.bool)) for h in states]
    size = {"norm": float(v.norm()), "l0": int((v != 0).sum())}
    return {"kind": "epoch", "setting": part.name, "step": 0, "epoch": 1, "displacement": sum(moved) / len(moved), **size}


if __name__ == "__main__":
    run(main)
