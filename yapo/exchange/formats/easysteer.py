"""EasySteer: its GGUF control vector, and beside it the ``steering`` of a request, which leaves out the first token."""

from __future__ import annotations

from pathlib import Path

from yapo.exchange.direction import Direction, Positions
from yapo.exchange.formats.gguf import write_gguf
from yapo.files import write_json


class EasySteer:
    """Control vector with a request that positions it as the vector itself says."""

    suffix = ".gguf"
    positions: Positions = "as the vector"
    lowest_layer = 0
    is_pickle = False

    def write(self, direction: Direction, path: Path) -> list[Path]:
        """See ``Format.write``; ``<name>.steering.json`` is the field ``steering`` of a request to its server."""
        apply: dict[str, object] = {"prompt": "all", "generation": "all"}
        if not direction.vector.info.steer_bos:
            apply["exclude_prompt_positions"] = [0]
        vector = {"source": path.name, "algorithm": "direct", "scale": 1.0, "layers": [direction.layer], "apply": apply}
        write_gguf(direction, path)
        request = path.with_suffix(".steering.json")
        write_json(request, {"vectors": [vector]})
        return [path, request]


FORMAT = EasySteer()
