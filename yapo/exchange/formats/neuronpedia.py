"""Neuronpedia: the JSON body of ``POST /api/vector/new``, which ``NPVector.new`` of its Python package sends.

``hook_resid_post`` of layer L is the output of block L; ``hook_resid_pre`` is its input, the output of block L-1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from yapo.errors import YapoError
from yapo.exchange.direction import Direction, FoundDirections, Positions
from yapo.exchange.numbers import as_direction
from yapo.exchange.record import write_record
from yapo.files import read_json, write_json

PRE, POST = "hook_resid_pre", "hook_resid_post"


class Neuronpedia:
    """Vector of Neuronpedia."""

    suffix = ".json"
    positions: Positions = "all"
    lowest_layer = 0
    is_pickle = False

    def write(self, direction: Direction, path: Path) -> list[Path]:
        """See ``Format.write``; the server takes the keys of its form, so that the record stands beside the file."""
        body = {
            "modelId": direction.vector.info.model.rstrip("/").rpartition("/")[2].lower(),
            "layerNumber": direction.layer,
            "hookType": POST,
            "vector": direction.values.tolist(),
            "vectorDefaultSteerStrength": 1.0,
            "vectorLabel": path.stem,
        }
        write_json(path, body)
        return [path, write_record(direction, path)]


def read(path: Path) -> FoundDirections:
    """Return the direction, times its default strength.

    Raises:
        YapoError: the file is damaged, names no layer and hook, or steers what goes into block 0.
    """
    body = read_json(path, "copy or download it again")
    if not isinstance(body, dict) or "vector" not in body:
        raise YapoError(f"{path}: no 'vector'; give the JSON of a vector of Neuronpedia")
    strength = body.get("vectorDefaultSteerStrength")
    strength = 1.0 if strength is None else strength
    if isinstance(strength, bool) or not isinstance(strength, int | float):
        raise YapoError(f"{path}: vectorDefaultSteerStrength={strength!r} is no number; give one, or leave it out for 1")
    return FoundDirections({_block(path, body): strength * as_direction(path, "'vector'", body["vector"])})


def _block(path: Path, body: dict[str, Any]) -> int:
    """Return the block whose output is steered."""
    named = re.fullmatch(rf"blocks\.(\d{{1,4}})\.({PRE}|{POST})", str(body.get("hookName")))
    layer, hook = (int(named[1]), named[2]) if named else (body.get("layerNumber"), body.get("hookType"))
    if isinstance(layer, bool) or not isinstance(layer, int) or hook not in (PRE, POST):
        raise YapoError(f"{path}: names no place; give layerNumber, and hookType {PRE} or {POST}")
    block = layer if hook == POST else layer - 1
    if block < 0:
        raise YapoError(f"{path}: {hook} of layer {layer} is the embedding; only the output of a block is steered here")
    return block


FORMAT = Neuronpedia()
