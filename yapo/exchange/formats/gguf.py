"""GGUF control vector, as llama.cpp and repeng read it: one tensor ``direction.<layer>``, added at every position.

llama.cpp adds ``direction.N`` to the output of block N and refuses a file with N = 0. repeng wants ``controlvector.model_hint``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from yapo.errors import YapoError, require_extra
from yapo.exchange.direction import UNKNOWN, Direction, FoundDirections, Positions
from yapo.exchange.numbers import one_direction
from yapo.files import replacing

if TYPE_CHECKING:
    from gguf import GGUFReader

ARCHITECTURE = "controlvector"
RECORD = "yapo.record"  # what is lost, as JSON


class Gguf:
    """Control vector of llama.cpp and repeng."""

    suffix = ".gguf"
    positions: Positions = "all"
    lowest_layer = 1
    is_pickle = False

    def write(self, direction: Direction, path: Path) -> list[Path]:
        """See ``Format.write``; the record stands in the file's metadata."""
        write_gguf(direction, path)
        return [path]


def write_gguf(direction: Direction, path: Path) -> None:
    """Write a control vector of one layer with the record of what is lost.

    Raises:
        YapoError: the package gguf is not installed, or the file cannot be written.
    """
    require_extra("gguf", "gguf")
    from gguf import GGUFWriter

    with replacing(path) as temporary:
        writer = GGUFWriter(temporary, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", direction.model_type)
        writer.add_string(f"{ARCHITECTURE}.method", direction.vector.info.method)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", 1)
        writer.add_string(RECORD, json.dumps(direction.record(), ensure_ascii=False))
        writer.add_tensor(f"direction.{direction.layer}", direction.values.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def read(path: Path) -> FoundDirections:
    """Return the directions of a control vector.

    Raises:
        YapoError: the package gguf is not installed; the file is damaged, or not a control vector of float32 directions.
    """
    require_extra("gguf", "gguf")
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        architecture, hint = (_text(reader, key) for key in ("general.architecture", f"{ARCHITECTURE}.model_hint"))
        tensors = [(tensor.name, tensor.tensor_type.name, torch.from_numpy(tensor.data.copy())) for tensor in reader.tensors]
    except Exception as error:  # the reader meets a damaged file with errors of many kinds
        raise YapoError(f"{path}: damaged or not GGUF ({type(error).__name__}); copy or make it again") from None
    if architecture != ARCHITECTURE:
        raise YapoError(f"{path}: a GGUF file of architecture {architecture!r}; give a control vector ({ARCHITECTURE!r})")
    found: dict[int | None, torch.Tensor] = {}
    for name, kind, values in tensors:
        named = re.fullmatch(r"direction\.(\d{1,4})", name)
        if named is None:
            raise YapoError(f"{path}: its tensor {name!r} is no direction; give a control vector with tensors direction.<layer>")
        if kind != "F32":
            raise YapoError(f"{path}: {name} is {kind}, which llama.cpp refuses too; write it as F32")
        found[int(named[1])] = one_direction(path, name, values)
    return FoundDirections(found, hint or UNKNOWN)


def _text(reader: GGUFReader, key: str) -> str:
    field = reader.get_field(key)
    return "" if field is None else str(field.contents())


FORMAT = Gguf()
