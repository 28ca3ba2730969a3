"""Read a steering vector from a file of another tool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from yapo.checks import IMPORTED
from yapo.errors import YapoError, unknown
from yapo.exchange.direction import UNKNOWN, FoundDirections
from yapo.exchange.formats import gguf, neuronpedia, svec
from yapo.exchange.tensor_files import read_npy, read_pt, read_safetensors
from yapo.files import file_digest
from yapo.models.checkpoint import model_digest, model_folder
from yapo.models.weights import load_config
from yapo.names import NEWEST
from yapo.steering.spaces import DENSE
from yapo.steering.vector import CONVENTION, SteeringVector, VectorInfo
from yapo.tensors import described, is_plain, not_finite

READERS: dict[str, Callable[[Path], FoundDirections]] = {
    ".gguf": gguf.read,
    ".json": neuronpedia.read,
    ".npy": read_npy,
    ".pt": read_pt,
    ".pth": read_pt,
    ".safetensors": read_safetensors,
    ".svec": svec.read,
}


def read(
    path: Path | str, model: Path | str, layer: int | None = None, steer_bos: bool = False, revision: str = NEWEST
) -> SteeringVector:
    """Read a vector of another tool: GGUF, ``.svec``, Neuronpedia's JSON, or a bare tensor (``.pt``, ``.safetensors``, ``.npy``).

    Strengths that stand in the file are multiplied in, so that λ = 1 is what the other tool does by default. No code of the file
    runs, and the model's weights are not loaded.

    Args:
        path: the file. Its name's ending says the format.
        model: the model that the vector is for, a folder in Hugging Face format or an id of the hub.
        layer: 0-based block whose output is steered; needed where the file does not say it, or holds several.
        steer_bos: whether the first token is steered too, as most other tools do.
        revision: branch, tag or commit of a model of the hub.

    Raises:
        YapoError: the file is missing, damaged, of another format or for another model; it does not say the layer, or holds
            several; a number is not finite.
    """
    place = Path(path)
    if place.suffix.lower() not in READERS:
        raise unknown("format", f"{place}: the ending", place.suffix, READERS)
    if not place.is_file():
        raise YapoError(f"{place}: no such file; give a steering vector of another tool")
    found = READERS[place.suffix.lower()](place)
    folder = model_folder(str(model), revision, "model")
    config = load_config(folder, str(model))
    if found.model_type not in (UNKNOWN, config.model_type):
        raise YapoError(
            f"{place}: made for {found.model_type}, but model={model} is {config.model_type}; give the model it was made for"
        )
    layer = _layer(place, found, layer, config.num_hidden_layers)
    values = _checked(place, found.by_layer[layer if layer in found.by_layer else None], config.hidden_size, f"model={model}")
    info = VectorInfo(
        IMPORTED,
        DENSE.name,
        layer,
        str(model),
        model_digest(folder, str(model)),
        steer_bos=steer_bos,
        convention=CONVENTION if not steer_bos else CONVENTION.replace("every position but BOS", "every position"),
        data_hash=file_digest(place),
        extra={"file": place.name},
    )
    return SteeringVector(values, info)


def _layer(path: Path, found: FoundDirections, wanted: int | None, layers: int) -> int:
    """Return the block to steer: the one asked for, or the only one of the file."""
    known = [layer for layer in found.by_layer if layer is not None]
    if wanted is None:
        if not known:
            raise YapoError(f"{path}: does not say which block it steers; give layer, 0 to {layers - 1}")
        if len(known) > 1:
            raise YapoError(f"{path}: holds {len(known)} layers ({_listed(known)}); give layer, one of them")
        wanted = known[0]
    elif known and wanted not in known:
        raise YapoError(f"layer={wanted}: {path} holds {_listed(known)}; choose among them")
    if not 0 <= wanted < layers:
        raise YapoError(
            f"{path}: steers block {wanted}, but the model has blocks 0 to {layers - 1}; give the model it was made for"
        )
    return wanted


def _listed(layers: list[int]) -> str:
    """Write numbers shortly: 3, 5, or 0 to 25."""
    if len(layers) > 2 and layers == list(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]} to {layers[-1]}"
    return ", ".join(map(str, layers))


def _checked(path: Path, values: Tensor, d_model: int, model: str) -> Tensor:
    """Return a direction as float32, once it is one of this width and finite."""
    if not is_plain(values) or not values.is_floating_point():
        raise YapoError(f"{path}: its direction is {described(values)}; give floating-point numbers")
    if len(values) != d_model:
        raise YapoError(
            f"{path}: its direction has {len(values)} entries; {model} is {d_model} wide; give the model it was made for"
        )
    values = values.detach().to(torch.float32).clone()
    if not_finite([("values", values)]) is not None:
        raise YapoError(f"{path}: its direction holds NaN or infinity, or numbers beyond float32; make it again")
    return values
