"""AISteer360's ``.svec``: JSON with a direction for each layer. It adds them with ``CAA(multiplier=1, normalize_vector=False)``.

Its ``token_scope="all"`` steers every position, which is what fidelity is measured for; ``from_position`` with 1 leaves out the
first token of a single prompt.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from yapo.errors import YapoError
from yapo.exchange.direction import UNKNOWN, Direction, FoundDirections, Positions
from yapo.exchange.numbers import as_direction, layer_number
from yapo.files import read_json, write_json

_AGAIN = "copy or make it again"


class Svec:
    """Steering vector of AISteer360."""

    suffix = ".svec"
    positions: Positions = "all"
    lowest_layer = 0
    is_pickle = False

    def write(self, direction: Direction, path: Path) -> list[Path]:
        """See ``Format.write``; the record stands under the key ``yapo``, which AISteer360 passes over."""
        directions = {str(direction.layer): [direction.values.tolist()]}
        write_json(path, {"model_type": direction.model_type, "directions": directions, "yapo": direction.record()})
        return [path]


def read(path: Path) -> FoundDirections:
    """Return the directions of a file.

    Raises:
        YapoError: it is damaged, or holds more than one direction for a layer (positions, heads or planes).
    """
    content = read_json(path, _AGAIN)
    directions = content.get("directions") if isinstance(content, dict) else None
    if not isinstance(directions, dict) or not directions:
        raise YapoError(f"{path}: no 'directions' by layer; give a .svec file of AISteer360")
    by_layer: dict[int | None, Tensor] = {
        layer_number(path, name): as_direction(path, f"layer {name}", rows) for name, rows in directions.items()
    }
    return FoundDirections(by_layer, str(content.get("model_type") or UNKNOWN))


FORMAT = Svec()
