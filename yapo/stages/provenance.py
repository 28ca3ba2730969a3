"""Provenance of trained vectors, read from the files beside them, and the commands that make a study again."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yapo.config import Config
from yapo.config.compose import compose, plain
from yapo.errors import YapoError
from yapo.files import read_json
from yapo.paths import Paths
from yapo.reporting.names import label

SAFE = r"[\w.,=\[\]/+~@%-]+"  # texts that mean the same to the shell within double quotes, to Snakemake's YAML and to Hydra


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
        path, curves = folder / "run.json", folder / "curves.jsonl"
        found = read_json(path)
        try:
            with curves.open(encoding="utf-8") as lines:
                trained = json.loads(next(lines))["kind"] == "step"
            return cls(found["method"], trained, found["layer"], found["config"], found["versions"])
        except (OSError, StopIteration, KeyError, TypeError, ValueError):
            raise YapoError(f"{folder}: not the training of a method; delete it and run the stage train again") from None


def run_record(config: Config, language: str, layer: int, data_hash: str) -> dict[str, Any]:
    """Return the contents of ``run.json``, which the stage ``train`` leaves beside its vectors."""
    return {
        "method": config.method.name,
        "country": config.country,
        "language": language,
        "seed": config.train.seed,
        "layer": layer,
        "config": {name: asdict(getattr(config, name)) for name in ("method", "train", "model", "sae")},
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "data_hash": data_hash,
    }


def training_runs(paths: Paths, language: str, country: str, methods: Sequence[str]) -> list[TrainingRun]:
    """The training of every method for a country."""
    return [TrainingRun.of(paths.trained(language, country, method)) for method in methods]


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


def own_settings(made: Sequence[TrainingRun], overrides: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the settings of one method's training that the study's overrides do not give it: by method, then by key.

    Args:
        made: how each method was trained.
        overrides: of the study.
    """
    found = {}
    for one in made:
        expected = json.loads(json.dumps(plain(compose([*overrides, f"method={one.method}"]))))
        given = {group: _leaves(expected[group], f"{group}.") for group in one.config}
        taken = {group: _leaves(values, f"{group}.") for group, values in one.config.items()}
        own = {key: v for group, values in taken.items() for key, v in values.items() if given[group].get(key) != v}
        if own:
            found[one.method] = own
    return found


def as_overrides(settings: Mapping[str, Any]) -> str:
    """Settings as Hydra reads them on a command line."""
    return shlex.join(f"{key}={_value(value)}" for key, value in settings.items())


def commands(config: Config, overrides: Sequence[str], own: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the shell commands that make the study's files again.

    Args:
        config: what the overrides compose.
        overrides: what the stage was started with.
        own: see ``own_settings``.
    """
    given = {key: value for key, _, value in (override.partition("=") for override in overrides)}
    rest = [o for o in overrides if o.partition("=")[0] not in ("experiment", "countries")]
    parts = [f"experiment={shlex.quote(config.experiment)}"] if config.experiment != "embedded" else []
    if "countries" in given:
        parts.append(shlex.quote(f"countries={given['countries']}"))
    if rest:
        parts.append(_quoted("overrides", " ".join(o if re.fullmatch(SAFE, o) else shlex.quote(o) for o in rest)))
    if own:
        inner = ", ".join(
            f"{method}: {json.dumps(as_overrides(settings), ensure_ascii=False)}" for method, settings in own.items()
        )
        parts.append(shlex.quote(f"method_overrides={{{inner}}}"))
    start = "snakemake --cores all " + (f"--config {' '.join(parts)} -- " if parts else "")
    return "\n".join(start + goal for goal in ("all_tables", "all_studies" if config.studies.reported else "report"))


def _quoted(key: str, text: str) -> str:
    """A value of ``--config``, which the shell reads and then, as YAML, Snakemake."""
    if re.fullmatch(rf"{SAFE}(?: {SAFE})*", text):
        return f'{key}="{text}"'
    return shlex.quote(f"{key}= {json.dumps(text, ensure_ascii=False)} ")  # Snakemake takes quotes at its ends away


def _value(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[\w./-]+", value):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _leaves(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found
