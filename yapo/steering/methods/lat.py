"""LAT, linear artificial tomography (arXiv 2310.01405), as AxBench and SteeringSafety build it.

States of both sides are shuffled together and paired at random; v is the first principal component of the differences of the
pairs, each scaled to length 1. Labels decide only the sign. The length is ours: see ``along_separation``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.steering.contrast import Contrast, contrast_vectors
from yapo.steering.directions import along_separation, first_component
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import DENSE
from yapo.steering.vector import TrainedVector


@dataclass(frozen=True)
class Options:
    """``method.options``: where the residual stream is read."""

    contrast: Contrast


class LAT:
    """Dense; finds what varies most between any two prompts, which need not be what the sides differ in."""

    space = DENSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, d_model]`` for each set."""

        def find(positive: Tensor, negative: Tensor) -> Tensor:
            differences = random_differences(torch.cat([positive, negative]), inputs.train.seed)
            return along_separation(first_component(differences - differences.mean(dim=0)), positive, negative)

        return contrast_vectors(inputs, read_options(Options, inputs.options).contrast, find)


def random_differences(states: Tensor, seed: int) -> Tensor:
    """Return the differences of random pairs of states ``[2n, d]``, each of length 1 unless both are equal, ``[n, d]``."""
    order = torch.randperm(len(states), generator=torch.Generator().manual_seed(seed))
    first, second = states[order].tensor_split(2)
    return torch.nn.functional.normalize(first - second, dim=1)


METHOD = LAT()
