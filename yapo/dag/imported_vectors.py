"""Checks, before anything runs, that the vectors given to the method imported are for this study. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from yapo.errors import YapoError
from yapo.exchange.read import READERS
from yapo.files import read_json
from yapo.hub import Repo, cached_snapshot
from yapo.models.checkpoint import FILES, model_digest
from yapo.names import is_hub_id
from yapo.paths import Paths
from yapo.steering.methods.imported import check_layer, check_made_for, check_space
from yapo.steering.vector import SteeringVector


def check_vector_file(path: Path, config: Mapping[str, Any], place: str) -> None:
    """Refuse a file that is missing or no vector, or whose vector is for another model, width or layer.

    Args:
        path: the file.
        config: the settings of the study, as nested dictionaries.
        place: what the vector is for, in words.

    Raises:
        YapoError: names the file, what is wrong and what to do.
    """
    name, model = f"method.options.file={path}", config["model"]["path"]
    if path.suffix != ".safetensors":
        known = "a file of another tool" if path.suffix.lower() in READERS else f"no vector ends in {path.suffix!r}"
        raise YapoError(
            f"{name}: {known}; make a vector of this project first: yapo import {path} --model {model} "
            f"-o {path.with_suffix('.safetensors')}"
        )
    if not path.is_file():
        raise YapoError(f"{name}: no such file for {place}; give one, or leave the country out")
    try:
        vector = SteeringVector.load(path)
    except YapoError as error:
        raise YapoError(f"method.options.file: {error}; one of another tool is read by yapo import") from None
    check_space(vector, name)
    _check_study_layer(vector, name, config)
    folder = _folder(model, config["model"]["revision"])
    if folder is None:  # it is not downloaded yet; the training checks the vector then
        return
    if vector.info.model != model:
        check_made_for(vector, name, model, _digest(folder, model))
    width = read_json(folder / "config.json").get("hidden_size")
    if not vector.space.of_features and vector.entries != width:
        raise YapoError(f"{name}: {vector.entries} entries, but {model} is {width} wide; give a vector for that")


def _check_study_layer(vector: SteeringVector, name: str, config: Mapping[str, Any]) -> None:
    """Compare with the layer that the settings fix or that discovery has found."""
    layer, found = config["discovery"]["layer"], Paths(Path(config["results"]) / config["experiment"]).layer
    if layer is None and found.is_file():
        layer = read_json(found).get("layer")
    if layer is None:
        raise YapoError(
            f"{name}: steers layer {vector.info.layer}, and the study is yet to search for its own; "
            f"set discovery.layer={vector.info.layer}"
        )
    check_layer(vector, name, layer)


def _folder(model: str, revision: str) -> Path | None:
    """Return the folder of the model's files, or None where they are not on this machine."""
    return cached_snapshot(Repo("model", model, revision), FILES) if is_hub_id(model) else Path(model)


@cache
def _digest(folder: Path, model: str) -> str:
    return model_digest(folder, model)
