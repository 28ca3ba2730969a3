"""CAA, contrastive activation addition (arXiv 2312.06681): v = mean of h(positive) minus mean of h(negative)."""

from __future__ import annotations

from dataclasses import dataclass

from yapo.steering.contrast import Contrast, contrast_states
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import DENSE
from yapo.steering.vector import TrainedVector


@dataclass(frozen=True)
class Options:
    """``method.options``: where the residual stream is read."""

    contrast: Contrast


class CAA:
    """Dense mean difference; keeps the natural size of the layer."""

    space = DENSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, d_model]`` for each set."""
        options, vectors = read_options(Options, inputs.options), {}
        for part in inputs.sets:
            positive, negative = contrast_states(inputs, part, options.contrast)
            difference = positive.float().mean(dim=0) - negative.float().mean(dim=0)
            vectors[part.name] = inputs.vector(part, difference[None])
        return vectors


METHOD = CAA()
