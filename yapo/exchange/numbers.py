"""Checks of the numbers in other tools' files."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from yapo.data.text import shown
from yapo.errors import YapoError


def as_direction(path: Path, name: str, value: object) -> Tensor:
    """Return a list of numbers from JSON as float32 ``[d]``; a list of one such list is taken as well.

    Raises:
        YapoError: it is no list of numbers, or holds several directions.
    """
    try:
        rows = torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise YapoError(f"{path}: {name} is no list of numbers; copy or make it again") from None
    return one_direction(path, name, rows)


def one_direction(path: Path, name: str, values: Tensor) -> Tensor:
    """Return ``[d]`` of a tensor ``[d]`` or ``[1, d]``.

    Raises:
        YapoError: it has another shape.
    """
    if values.ndim == 2 and len(values) == 1:
        values = values[0]
    if values.ndim != 1:
        raise YapoError(f"{path}: {name} has shape {list(values.shape)}; give one direction for the layer, [d_model]")
    return values


def layer_number(path: Path, name: str) -> int:
    """Return the number of a layer.

    Raises:
        YapoError: the text is no number of a layer.
    """
    if not re.fullmatch(r"\d{1,4}", name):
        raise YapoError(f"{path}: layer {shown(name)} is no number; layers count from 0")
    return int(name)
