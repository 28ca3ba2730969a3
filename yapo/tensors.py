"""Tensors on disk: safetensors with a JSON header, written whole or not at all, read as memory maps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from yapo.errors import YapoError
from yapo.files import replacing

KEY = "yapo"  # where a file's metadata holds the header
TYPE_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int32: "I32", torch.int64: "I64"}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header as safetensors; the same input gives the same bytes."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata=_metadata(header))


def stream_tensors(
    path: Path,
    shapes: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    pieces: Callable[[str], Iterable[Tensor]],
    header: Mapping[str, Any],
) -> None:
    """Write tensors that do not fit in memory, piece by piece, in the same format as ``save_tensors``.

    Args:
        path: the file.
        shapes: type and shape of each tensor.
        pieces: the parts of one tensor, in order along its first dimension.
        header: as in ``save_tensors``.
    """
    table: dict[str, Any] = {"__metadata__": _metadata(header)}
    end = 0
    for name, (dtype, shape) in shapes.items():
        start, end = end, end + prod(shape) * dtype.itemsize
        table[name] = {"dtype": TYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in shapes:
            for piece in pieces(name):
                file.write(piece.contiguous().view(torch.uint8).numpy().data)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and header; pages of a tensor are read from disk when they are first used.

    Raises:
        YapoError: a missing, truncated or foreign file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise YapoError(f"{path}: damaged or not safetensors ({error}); make it again") from None
    if header is None:
        raise YapoError(f"{path}: no header of this project; it was not written by it")
    try:
        parsed = json.loads(header)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise YapoError(f"{path}: the header is not a JSON object; make the file again")
    return tensors, parsed


def _metadata(header: Mapping[str, Any]) -> dict[str, str]:
    return {KEY: json.dumps(header, sort_keys=True, ensure_ascii=False)}
