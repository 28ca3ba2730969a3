"""Directions in files of bare tensors: PyTorch's ``.pt``, ``.safetensors`` and numpy's ``.npy``.

PyTorch files are read with ``weights_only=True``: one with anything but tensors and plain values is refused, and none of it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from yapo.errors import YapoError
from yapo.exchange.direction import FoundDirections
from yapo.exchange.formats import lm_eval
from yapo.exchange.numbers import one_direction
from yapo.tensors import KEY

_AGAIN = "copy or make it again"
_NAMED_LAYER = re.compile(r"(?:^|[._/])(?:layers?|direction|blocks)[._]?(\d{1,4})(?:[._]|$)")
_BIPO = re.compile(r"vec_ep\d+_layer(\d{1,4})")  # how the code of BiPO's authors names a vector


def read_pt(path: Path) -> FoundDirections:
    """Return the directions of a PyTorch file: a tensor, a dictionary of them, or a steering file of lm-eval.

    Raises:
        YapoError: it is damaged, holds objects that only code can make, or no direction.
    """
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises errors of many kinds; all it may mean is one of these two
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise YapoError(
                f"{path}: holds Python objects beside tensors, which only running code can read; save the tensor alone"
            ) from None
        raise YapoError(f"{path}: damaged or no PyTorch file ({type(error).__name__}); {_AGAIN}") from None
    if isinstance(content, dict) and lm_eval.is_steering_file(content):
        return lm_eval.directions_of(path, content)
    if isinstance(content, Tensor):
        named = _BIPO.fullmatch(path.stem)
        return _of_tensor(path, content, int(named[1]) if named else None)
    if isinstance(content, dict):
        return _of_tensors(path, {str(name): value for name, value in content.items() if isinstance(value, Tensor)})
    raise YapoError(f"{path}: holds {type(content).__name__}; give a file of one tensor")


def read_safetensors(path: Path) -> FoundDirections:
    """Return the directions of a safetensors file of another tool.

    Raises:
        YapoError: it is damaged, a vector of this project already, or holds no direction.
    """
    try:
        with safe_open(path, framework="pt") as file:
            if KEY in (file.metadata() or {}):
                raise YapoError(f"{path}: a file of this project already; use it as it is")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise YapoError(f"{path}: damaged or not safetensors ({' '.join(str(error).split())}); {_AGAIN}") from None
    return _of_tensors(path, tensors)


def read_npy(path: Path) -> FoundDirections:
    """Return the directions of a numpy file.

    Raises:
        YapoError: it is damaged, holds Python objects, or no direction.
    """
    try:
        values = torch.from_numpy(np.load(path, allow_pickle=False))
    except Exception as error:  # numpy's reader and torch's types refuse with errors of many kinds
        raise YapoError(f"{path}: damaged, or no array of numbers ({type(error).__name__}); {_AGAIN}") from None
    return _of_tensor(path, values)


def _of_tensor(path: Path, values: Tensor, layer: int | None = None) -> FoundDirections:
    """Return a direction, or those of every layer where a tensor has two dimensions."""
    if values.ndim == 2 and len(values) > 1 and layer is None:
        return FoundDirections(dict(enumerate(values)))
    return FoundDirections({layer: one_direction(path, "its tensor", values)})


def _of_tensors(path: Path, tensors: Mapping[str, Tensor]) -> FoundDirections:
    """Return the only tensor, or those whose names say a layer."""
    if len(tensors) == 1:
        ((name, values),) = tensors.items()
        named = _NAMED_LAYER.search(name)
        return _of_tensor(path, values, int(named[1]) if named else None)
    layers = {name: _NAMED_LAYER.search(name) for name in tensors}
    found: dict[int | None, Tensor] = {
        int(named[1]): one_direction(path, name, tensors[name]) for name, named in layers.items() if named is not None
    }
    if not found or len(found) < len(tensors):
        names = ", ".join(sorted(tensors)) or "no tensor"
        raise YapoError(f"{path}: holds {names}; give a file of one tensor, or of one for each layer, named layer<number>")
    return FoundDirections(found)
