"""The part of a steering vector that other tools understand: one direction of the residual stream at one block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from yapo.exchange.fidelity import Fidelity
from yapo.steering.vector import SteeringVector

Positions = Literal["all", "as the vector"]  # tokens of a row that a tool steers; "as the vector": also all but the first
UNKNOWN = "unknown"  # architecture that nobody told


@dataclass(frozen=True)
class Direction:
    """A vector as another tool applies it.

    Attributes:
        values: u = λ·v, or the dense stand-in of a sparse vector; float32 ``[d_model]``. Added to the output of block ``layer``.
        vector: the vector itself, with its header.
        multiplier: the λ in ``values``.
        model_type: architecture as transformers names it, such as gemma2; "unknown" where no configuration was at hand.
        positions: tokens that the tool steers.
        fidelity: how near the tool comes to ``yapo.steer``, as measured on prompts; None if it was not measured.
    """

    values: Tensor
    vector: SteeringVector
    multiplier: float
    model_type: str
    positions: Positions
    fidelity: Fidelity | None = None

    @property
    def layer(self) -> int:
        """0-based block whose output is moved."""
        return self.vector.info.layer

    @property
    def losses(self) -> list[str]:
        """Descriptions of each difference from ``yapo.steer``."""
        lost = []
        if self.vector.space.of_features:
            lost.append("a constant vector stands in for a sparse edit, which depends on the token")
        if self.positions == "all" and not self.vector.info.steer_bos:
            lost.append("the first token is steered too")
        return lost

    @property
    def measured(self) -> str:
        """The measured fidelity as a sentence."""
        return "not measured; give the model to measure it" if self.fidelity is None else str(self.fidelity)

    def record(self) -> dict[str, Any]:
        """Return what the file's reader should know: the vector's header, what is lost, and how much as measured."""
        fidelity = None if self.fidelity is None else asdict(self.fidelity)
        return {"header": vars(self.vector.info), "multiplier": self.multiplier, "lost": self.losses, "fidelity": fidelity}


@dataclass(frozen=True)
class FoundDirections:
    """The contents of another tool's file.

    Attributes:
        by_layer: a direction for each 0-based block, ``[d_model]``; under None where the file does not say the block.
        model_type: architecture that it was made for; "unknown" where the file does not say.
    """

    by_layer: Mapping[int | None, Tensor]
    model_type: str = UNKNOWN
