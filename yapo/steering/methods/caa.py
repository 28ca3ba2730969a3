"""CAA, contrastive activation addition (arXiv 2312.06681): v = mean of h(positive) minus mean of h(negative)."""

from __future__ import annotations

from torch import Tensor

from yapo.steering.contrast import contrast_states
from yapo.steering.method import FitInputs


class CAA:
    """Dense mean difference; keeps the natural size of the layer."""

    name = "caa"
    space = "dense"
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, Tensor]:
        """``[1, d_model]`` for each set."""
        vectors = {}
        for part in inputs.sets:
            positive, negative = contrast_states(inputs, part)
            vectors[part.name] = (positive.float().mean(dim=0) - negative.float().mean(dim=0))[None]
        return vectors


METHOD = CAA()
