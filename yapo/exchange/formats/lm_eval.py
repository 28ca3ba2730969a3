"""lm-eval's ``--model steered``: a PyTorch file ``{hookpoint: {steering_vector, steering_coefficient, action, bias}}``.

lm-eval unpickles it in full and adds the vector at every position. It reads no format without a pickle but its csv, which names
features of released autoencoders.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.exchange.direction import Direction, FoundDirections, Positions
from yapo.exchange.numbers import one_direction
from yapo.exchange.record import write_record
from yapo.files import replacing


class LmEval:
    """Steering file of lm-eval."""

    suffix = ".pt"
    positions: Positions = "all"
    lowest_layer = 0
    is_pickle = True

    def write(self, direction: Direction, path: Path) -> list[Path]:
        """See ``Format.write``; every key of the file is a hookpoint, so that the record stands beside it."""
        entry = {"steering_vector": direction.values, "steering_coefficient": 1.0, "action": "add", "bias": None}
        content = io.BytesIO()  # a file's own name would stand in its archive
        torch.save({f"layers.{direction.layer}": entry}, content)
        with replacing(path) as temporary:
            temporary.write_bytes(content.getvalue())
        return [path, write_record(direction, path)]


def is_steering_file(content: object) -> bool:
    """Tell whether the content of a PyTorch file is a steering file of lm-eval."""
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(entry, dict) and "steering_vector" in entry for entry in content.values())
    )


def directions_of(path: Path, content: Mapping[str, Mapping[str, object]]) -> FoundDirections:
    """Return the directions of a steering file, times their coefficients.

    Raises:
        YapoError: an entry is not added, steers one attention head, or stands at a hookpoint that is no block.
    """
    found: dict[int | None, Tensor] = {}
    for hookpoint, entry in content.items():
        named = re.fullmatch(r"(?:model\.)?layers\.(\d{1,4})", str(hookpoint))
        if named is None:
            raise YapoError(f"{path}: hookpoint {str(hookpoint)!r} is no block; give vectors at layers.<number>")
        if entry.get("action") != "add" or entry.get("head_index") is not None:
            raise YapoError(f"{path}: {hookpoint} is no addition to the whole residual stream; give vectors with action 'add'")
        vector, coefficient = entry["steering_vector"], entry.get("steering_coefficient", 1.0)
        if not isinstance(vector, Tensor) or not isinstance(coefficient, int | float):
            raise YapoError(f"{path}: {hookpoint} has no vector and number; copy or make it again")
        found[int(named[1])] = coefficient * one_direction(path, str(hookpoint), vector).float()
    return FoundDirections(found)


FORMAT = LmEval()
