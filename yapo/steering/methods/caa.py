"""CAA, contrastive activation addition (arXiv 2312.06681): v = mean of h(positive) minus mean of h(negative)."""

from __future__ import annotations

from dataclasses import dataclass

from yapo.steering.contrast import Contrast, contrast_vectors
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
        contrast = read_options(Options, inputs.options).contrast
        return contrast_vectors(inputs, contrast, lambda positive, negative: positive.mean(dim=0) - negative.mean(dim=0))


METHOD = CAA()
