"""Provenance of trained vectors, read from the files beside them, and the commands that make a study again."""

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
from yapo.data.schema import by_place, read_table
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.evaluation.judges.label import judge_label
from yapo.files import read_json
from yapo.paths import Paths
from yapo.reporting.names import label

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


def model_name(made: TrainingRun) -> str:
    """The model and how its numbers are kept."""
    return f"{made.config['model']['path']}, {made.config['model']['dtype']}"


def autoencoder_name(made: TrainingRun) -> str:
    """The autoencoder of the steered layer: its folder, or its release and id."""
    sae = made.config["sae"]
    own = sae["ids"].get(str(made.layer), sae["id"])
    return (sae["path"] or f"{sae['release']} {own}".strip() or "trained by the study").replace("LAYER", str(made.layer))


def learning_rates(made: Sequence[TrainingRun]) -> str:
    """Return the learning rate of each method that trains, and the names of the others."""
    rates = ", ".join(f"{label('method', one.method)} {one.config['train']['lr']:g}" for one in made if one.trained)
    closed = ", ".join(label("method", one.method) for one in made if not one.trained)
    return "; ".join([*([rates] if rates else []), *([f"no training steps: {closed}"] if closed else [])])


def schedule(made: Sequence[TrainingRun]) -> str:
    """Return epochs, batches and β of the methods that train: once, or for each if they differ."""
    said: dict[str, list[str]] = {}
    for one in made:
        if one.trained:
            train = one.config["train"]
            epochs = f"{train['epochs']} epoch{'s' if train['epochs'] > 1 else ''}"
            text = f"{epochs} of batches of {train['batch_size']}, β = {train['beta']:g}"
            said.setdefault(text, []).append(label("method", one.method))
    if len(said) <= 1:
        return next(iter(said), "no method trains")
    return "; ".join(f"{', '.join(methods)}: {text}" for text, methods in said.items())


def study_facts(config: Config, paths: Paths, countries: dict[str, str], made: Sequence[TrainingRun]) -> list[tuple[str, str]]:
    """Return names and values of what a study was made with; ``made`` are the trainings of its first country."""
    items, split = by_place(read_table(paths.items)), read_table(paths.split)
    own = items[items["country"].isin(countries)]
    facts = split[split["question_id"].isin(own["question_id"])]["split"].value_counts()
    return [
        ("Model", f"{model_name(made[0])} ({read_json(paths.layer)['model']['digest']})"),
        ("Autoencoder", autoencoder_name(made[0])),
        ("Layer", f"{made[0].layer} (0-based)"),
        ("Countries", ", ".join(label("country", name) for name in countries)),
        ("Methods", ", ".join(label("method", name) for name in config.methods)),
        ("Data", f"{config.data.path or config.data.source}: {len(own):,} items of {own['question_id'].nunique():,} facts"),
        ("Split by fact", ", ".join(f"{name} {facts[name]:,}" for name in ("train", "validation", "test"))),
        ("Training", schedule(made)),
        ("Learning rates", learning_rates(made)),
        (
            "Seeds",
            f"data {config.data.seed}, split {config.split.seed}, training {config.train.seed}, report {config.report.seed}",
        ),
        ("Judge", judge_label(config.judge)),
    ]
