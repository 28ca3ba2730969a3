"""Train, compare and use steering vectors.

import yapo

vector = yapo.load_vector("results/embedded/arabic/egypt/vectors/yapo/mcq-nonlocalized.safetensors")
with yapo.steer(model, vector):
    model.generate(...)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yapo.steering.steer import steer
    from yapo.steering.vector import SteeringVector

__all__ = ["SteeringVector", "load_vector", "steer"]
__version__ = "0.1.0"


def load_vector(path: Path | str) -> SteeringVector:
    """Read a steering vector and its header. Raises ``yapo.errors.YapoError`` where the file is missing, damaged or foreign."""
    from yapo.steering.vector import SteeringVector

    return SteeringVector.load(path)


def __getattr__(name: str) -> Any:  # torch is imported when it is first needed
    if name == "steer":
        from yapo.steering.steer import steer

        return steer
    if name == "SteeringVector":
        from yapo.steering.vector import SteeringVector

        return SteeringVector
    raise AttributeError(f"module 'yapo' has no attribute '{name}'")
