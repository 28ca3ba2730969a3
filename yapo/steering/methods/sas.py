"""SAS, sparse activation steering (arXiv 2503.00177): filtered mean difference of SAE codes."""

from __future__ import annotations

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.steering.contrast import contrast_states
from yapo.steering.method import FitInputs


class SAS:
    """Keeps features that are frequent on exactly one side."""

    name = "sas"
    space = "sparse"
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, Tensor]:
        """``[1, d_sae]`` for each set."""
        tau = inputs.options.get("tau")
        if not isinstance(tau, float | int) or isinstance(tau, bool) or not 0 < tau <= 1:
            raise YapoError(f"method.options.tau={tau}: a share of the states, above 0 and up to 1")
        vectors = {}
        for part in inputs.sets:
            positive, negative = (inputs.sae.encode(states) for states in contrast_states(inputs, part))
            vectors[part.name] = sas_vector(positive, negative, tau)[None]
        return vectors


def sas_vector(positive: Tensor, negative: Tensor, tau: float) -> Tensor:
    """v = v⁺ - v⁻ with shared features removed.

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
