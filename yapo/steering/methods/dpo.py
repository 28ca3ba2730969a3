"""One-sided DPO vector: BiPO's objective with d = +1 in every step: direct preference optimisation (arXiv 2305.18290) of v.

    loss = -log σ(β·m),    m as in ``yapo.steering.objective``

Beside BiPO it shows what training both directions brings.
"""

from __future__ import annotations

from dataclasses import replace

from yapo.steering.method import FitInputs
from yapo.steering.methods import bipo
from yapo.steering.spaces import DENSE
from yapo.steering.vector import TrainedVector


class DPO:
    """h' = h + v; options as BiPO's."""

    space = DENSE
    learns = True

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[epochs, d_model]`` for each set."""
        return bipo.METHOD.fit(replace(inputs, train=replace(inputs.train, directions="positive")))


METHOD = DPO()
