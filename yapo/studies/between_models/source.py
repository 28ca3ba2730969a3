"""The study whose vectors are carried over: its files, and the settings of its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yapo.config import Config, ModelConfig, SaeConfig
from yapo.config.schema import build
from yapo.errors import YapoError
from yapo.paths import Paths

if TYPE_CHECKING:
    from yapo.stages.provenance import TrainingRun

KEY = "studies.between_models.source"


def source_files(config: Config, language_folder: str, country: str) -> list[Path]:
    """Return the vectors of the other study that a country's job takes, and what says how they were trained.

    Raises:
        YapoError: the folder or a file is missing, or the vectors are of this study's own model.
    """
    from yapo.stages.provenance import TrainingRun  # takes a second to import, which planning without this study does not

    settings, files = config.studies.between_models, list[Path]()
    folder = Path(settings.source)
    if not folder.is_dir():
        raise YapoError(f"{KEY}={settings.source}: no such folder; give the results of a study on another model")
    for method in carried_methods(config):
        trained = Paths(folder).trained(language_folder, country, method)
        chosen = [Paths(folder).vector(language_folder, country, method, task, settings.setting) for task in config.tasks]
        for file in (trained / "run.json", trained / "curves.jsonl", *chosen):
            if not file.is_file():
                raise YapoError(
                    f"{KEY}={settings.source}: lacks {file.relative_to(folder)}; run that study with {country} and {method}, or "
                    "leave them out"
                )
            files.append(file)
        if TrainingRun.of(trained).config["model"]["path"] == config.model.path:
            raise refuse_same(config)
    return files


def carried_methods(config: Config) -> list[str]:
    """Return the methods whose vectors are carried over: those of the study that the experiment has."""
    return [method for method in config.studies.between_models.methods if method in config.methods]


def refuse_same(config: Config) -> YapoError:
    """Return the error for vectors of this study's own model."""
    return YapoError(
        f"{KEY}={config.studies.between_models.source}: its vectors are of this study's own model, {config.model.path}; give "
        "the results of a study on another one"
    )


def source_config(config: Config, made: TrainingRun) -> Config:
    """Return the settings by which the other study's model, autoencoders and vectors are read.

    Args:
        config: this study's.
        made: a training of the other study.
    """
    folder, sae = Path(config.studies.between_models.source), made.config["sae"]
    ids = {int(layer): name for layer, name in sae["ids"].items()}  # JSON has no numbers for keys
    return Config(
        results=str(folder.parent),
        experiment=folder.name,
        model=build(ModelConfig, made.config["model"], "model."),
        sae=build(SaeConfig, {**sae, "ids": ids}, "sae."),
    )
