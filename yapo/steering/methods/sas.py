"""SAS, sparse activation steering (arXiv 2503.00177): filtered mean difference of SAE codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.checks import require
from yapo.steering.contrast import Contrast, contrast_vectors
from yapo.steering.interventions import Threshold
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import SPARSE
from yapo.steering.vector import TrainedVector


@dataclass(frozen=True)
class Options:
    """``method.options``.

    Attributes:
        contrast: where the residual stream is read.
        tau: share of the states on which a feature must fire to count.
        threshold: what follows the addition.
    """

    contrast: Contrast
    tau: float
    threshold: Threshold

    def __post_init__(self) -> None:
        require(0 < self.tau <= 1, "method.options.tau", self.tau, "a share of the states, above 0 and up to 1")


class SAS:
    """Keeps features that are frequent on exactly one side."""

    space = SPARSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, d_sae]`` for each set."""
        options, encode = read_options(Options, inputs.options), inputs.sae.encode

        def find(positive: Tensor, negative: Tensor) -> Tensor:
            return sas_vector(encode(positive), encode(negative), options.tau)

        return contrast_vectors(inputs, options.contrast, find, threshold=options.threshold)


def sas_vector(positive: Tensor, negative: Tensor, tau: float) -> Tensor:
    """Return v = v⁺ - v⁻ with shared features removed.

    v⁺ holds, for each feature active in at least a share ``tau`` of the positive codes, the mean over its non-zero entries;
    v⁻ likewise. Features left on both sides are set to zero on both.

    Args:
        positive: codes ``[n, d_sae]``.
        negative: codes ``[m, d_sae]``.
        tau: frequency threshold in (0, 1].
    """
    plus, minus = (_frequent_means(codes, tau) for codes in (positive, negative))
    shared = (plus != 0) & (minus != 0)
    return torch.where(shared, torch.zeros_like(plus), plus - minus)


def _frequent_means(codes: Tensor, tau: float) -> Tensor:
    active = (codes > 0).sum(dim=0)
    means = codes.sum(dim=0) / active.clamp_min(1)
    return torch.where(active >= tau * len(codes), means, torch.zeros_like(means))


METHOD = SAS()
