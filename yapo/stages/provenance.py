"""Provenance of trained vectors: the record that a training leaves beside them, and the reading of it."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yapo.checks import check_types, require
from yapo.config import Config, MethodConfig, ModelConfig, SaeConfig, TrainConfig
from yapo.config.schema import build
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.files import read_json
from yapo.paths import Paths

GROUPS = {"method": MethodConfig, "train": TrainConfig, "model": ModelConfig, "sae": SaeConfig}  # that a training reads
PACKAGES = ("torch", "transformers", "sae-lens", "numpy", "pandas")


@dataclass(frozen=True)
class TrainingRun:
    """The training of one method's vectors for a country or behaviour.

    Attributes:
        method: its name.
        trained: whether it took training steps; a closed form does not read ``train``.
        layer: the study's, 0-based.
        config: the groups method, train, model and sae as they were.
        versions: of the packages.
    """

    method: str
    trained: bool
    layer: int
    config: dict[str, Any]
    versions: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> TrainingRun:
        """Read ``run.json`` and the first line of ``curves.jsonl``: a training step, where there are any."""
        path, curves, again = folder / "run.json", folder / "curves.jsonl", "delete the folder and run the stage train again"
        found = read_json(path, again)
        try:
            with curves.open(encoding="utf-8") as lines:
                trained = json.loads(next(lines))["kind"] == "step"
            made = cls(found["method"], trained, found["layer"], found["config"], found["versions"])
            check_types("", cls, vars(made))
            require(made.method == folder.name, "method", made.method, f"the folder is that of {folder.name}")
            require(made.config.keys() == GROUPS.keys(), "config", list(made.config), f"must hold {', '.join(GROUPS)}")
            for name, kind in GROUPS.items():
                build(kind, made.config[name], f"config.{name}.")
        except YapoError as fault:
            raise YapoError(f"{path}: {fault}; {again}") from None
        except (OSError, StopIteration, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise YapoError(f"{folder}: not the training of a method ({shown(error)}); {again}") from None
        return made


def run_record(config: Config, language_folder: str, layer: int, data_hash: str) -> dict[str, Any]:
    """Return the contents of ``run.json``, which the stage ``train`` leaves beside its vectors."""
    return {
        "method": config.method.name,
        "country": config.country,
        "language": language_folder,
        "seed": config.train.seed,
        "layer": layer,
        "config": {name: asdict(getattr(config, name)) for name in GROUPS},
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "data_hash": data_hash,
    }


def training_runs(paths: Paths, language_folder: str, country: str, methods: Sequence[str]) -> list[TrainingRun]:
    """The training of every method for a country."""
    return [TrainingRun.of(paths.trained(language_folder, country, method)) for method in methods]
