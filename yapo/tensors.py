"""Tensors on disk: safetensors with a JSON header, written whole or not at all, read as memory maps.

Each file carries a digest, which is compared when the file is opened (``yapo.seal`` says what that costs).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from yapo.checks import distinct_names
from yapo.errors import YapoError
from yapo.files import replacing
from yapo.seal import BLANK, NAME, intact, place_in, seal

KEY = "yapo"  # key of the header in a file's metadata
TYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header as safetensors; the same input gives the same bytes.

    Raises:
        YapoError: a number is not finite; nothing is written.
    """
    check_tensors(path, tensors)
    held = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    order = sorted(held, key=lambda name: (-held[name].dtype.itemsize, name))  # so that every tensor is aligned
    shapes = {name: (held[name].dtype, tuple(held[name].shape)) for name in order}
    stream_tensors(path, shapes, lambda name: [held[name]], header)


def check_tensors(path: Path | str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse numbers that are infinite or not a number, and tensors that no file of this project holds."""
    for name, tensor in sorted(tensors.items()):
        if not is_plain(tensor):
            raise YapoError(f"{path}: '{name}' is {described(tensor)}; give a dense tensor in memory, of a type such as float32")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise YapoError(
                f"{path}: {bad} of {tensor.numel()} numbers of '{name}' are not finite; "
                "check the model, the autoencoder and train.lr, and make it again"
            )


def is_plain(tensor: object) -> bool:
    """Tell whether something is a dense tensor in memory, of a type that a file of this project can hold."""
    return isinstance(tensor, Tensor) and tensor.layout == torch.strided and not tensor.is_meta and tensor.dtype in TYPE_NAMES


def described(tensor: object) -> str:
    """Return type, shape and, where they are unusual, layout and device of a tensor, for an error."""
    if not isinstance(tensor, Tensor):
        return type(tensor).__name__
    unusual = "" if tensor.layout == torch.strided else f", {tensor.layout}"
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}{unusual}{', device meta' if tensor.is_meta else ''}"


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """Return the name of the first tensor that holds NaN or infinity, or None.

    Takes the smallest and the largest entry of each, through which NaN passes: one reading and no copy. On two CPU cores that
    is 1.6 (bfloat16) to 3 GB/s (float32), several times the speed of the digest of the files; on a GPU it is that of its memory.
    """
    named = [(name, torch.stack(tensor.detach().aminmax())) for name, tensor in tensors if tensor.numel()]
    return next((name for name, extremes in named if not bool(extremes.isfinite().all())), None)


def check_finite(tensors: Iterable[tuple[str, Tensor]], source: object, fix: str) -> None:
    """Refuse NaN and infinity; see ``not_finite`` for the time it takes.

    Args:
        tensors: with their names.
        source: what they were read from, and ``fix`` what to do, for the error.

    Raises:
        YapoError: a tensor holds one.
    """
    if name := not_finite(tensors):
        raise YapoError(f"{source}: {name} holds NaN or infinity; {fix}")


def stream_tensors(
    path: Path,
    shapes: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    pieces: Callable[[str], Iterable[Tensor]],
    header: Mapping[str, Any],
) -> None:
    """Write tensors that do not fit in memory, piece by piece, in the same format as ``save_tensors``.

    Args:
        path: the file.
        shapes: type and shape of each tensor, in the order in which the file holds them.
        pieces: the parts of one tensor, in order along its first dimension.
        header: as in ``save_tensors``.
    """
    try:
        text = json.dumps(header, sort_keys=True, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise YapoError(f"{path}: its header is no JSON ({error}); keep texts, numbers, lists and objects of them") from None
    held = {NAME: BLANK, KEY: text}
    table: dict[str, Any] = {"__metadata__": held}
    end = 0
    for name, (dtype, shape) in shapes.items():
        start, end = end, end + prod(shape) * dtype.itemsize
        table[name] = {"dtype": TYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    top = json.dumps(table).encode()
    top += b" " * (-len(top) % 8)
    first = len(top).to_bytes(8, "little") + top
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            file.write(first)
            for name in shapes:
                for piece in pieces(name):
                    file.write(piece.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        seal(temporary, place_in(first))


def load_tensors(path: Path, check: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and header; pages of a tensor are read from disk when they are first used.

    Args:
        path: the file.
        check: whether to compare the file with its digest. A file without one, written by another tool, is read as it is.

    Raises:
        YapoError: a missing, truncated, damaged or foreign file.
    """
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "no regular file"
            raise YapoError(f"{path}: {kind}; give a safetensors file")
        with safe_open(path, framework="pt") as file:
            tensor_table(path)
            header = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        whole = not check or intact(path, place_in(_top(path)))
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; give an existing one, or run the stage that makes it") from None
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise YapoError(f"{path}: damaged or not safetensors ({reason}); make it again") from None
    if not whole:
        raise YapoError(f"{path}: damaged (its bytes do not give the digest that it states); make it again")
    if header is None:
        raise YapoError(f"{path}: no header of this project; it was not written by it; give a file that was")
    try:
        parsed, reason = json.loads(header, object_pairs_hook=distinct_names), ""
    except (ValueError, RecursionError) as error:
        parsed, reason = None, f" ({error})"
    if not isinstance(parsed, dict):
        raise YapoError(f"{path}: the header is not a JSON object{reason}; make the file again")
    return tensors, parsed


def tensor_table(path: Path) -> dict[str, Any]:
    """Return what a file that safetensors opens says of each tensor; raise ``ValueError`` where it names one twice."""
    return cast("dict[str, Any]", json.loads(_top(path)[8:], object_pairs_hook=distinct_names))


def _top(path: Path) -> bytes:
    with path.open("rb") as file:
        first = file.read(8)
        return first + file.read(int.from_bytes(first, "little"))
