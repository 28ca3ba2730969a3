"""PCA: the first principal component of the states of both sides (representation engineering, arXiv 2310.01405).

``center`` says about what they vary. ``pairs``: each pair about its own mean, as in the library repeng; what pairs have in common
drops out, and the result is the first singular vector of the differences. ``all``: all states about one mean, as in AxBench.
Sign and length are ours: see ``along_separation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from yapo.steering.contrast import Contrast, contrast_vectors
from yapo.steering.directions import along_separation, first_component
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import DENSE
from yapo.steering.vector import TrainedVector

Center = Literal["pairs", "all"]


@dataclass(frozen=True)
class Options:
    """``method.options``.

    Attributes:
        contrast: where the residual stream is read.
        center: mean that is taken off before the component is found.
    """

    contrast: Contrast
    center: Center


class PCA:
    """Dense; follows the largest difference, where CAA follows the mean one."""

    space = DENSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, d_model]`` for each set."""
        options = read_options(Options, inputs.options)

        def find(positive: Tensor, negative: Tensor) -> Tensor:
            return along_separation(first_component(centered(positive, negative, options.center)), positive, negative)

        return contrast_vectors(inputs, options.contrast, find)


def centered(positive: Tensor, negative: Tensor, center: Center) -> Tensor:
    """Return the states of both sides less their mean, ``[2n, d_model]``; state i of one side pairs with i of the other."""
    mean = (positive + negative) / 2 if center == "pairs" else torch.cat([positive, negative]).mean(dim=0)
    return torch.cat([positive - mean, negative - mean])


METHOD = PCA()
