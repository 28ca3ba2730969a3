"""Linear probe: the direction of a logistic regression that tells the sides apart (AxBench, arXiv 2501.17148).

    min over w, b:   mean over states of  log(1 + exp(-y (w·h + b)))  +  (decay/2) |w|²,    y = 1 or -1

States are scaled by the root mean square of their centred entries, so that ``decay`` means the same for every model. v has the
direction of w; its length is ours: see ``along_separation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from yapo.checks import require
from yapo.errors import require_extra
from yapo.steering.contrast import Contrast, contrast_vectors
from yapo.steering.directions import along_separation
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import DENSE
from yapo.steering.vector import TrainedVector


@dataclass(frozen=True)
class Options:
    """``method.options``.

    Attributes:
        contrast: where the residual stream is read.
        decay: weight of |w|²/2. Above 0: sides that can be told apart without error have no finite w otherwise.
    """

    contrast: Contrast
    decay: float

    def __post_init__(self) -> None:
        require(0 < self.decay < inf, "method.options.decay", self.decay, "above 0, not infinite")


class Probe:
    """Dense; the best linear detector, which need not be the best lever."""

    space = DENSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, d_model]`` for each set."""
        options = read_options(Options, inputs.options)

        def find(positive: Tensor, negative: Tensor) -> Tensor:
            return along_separation(logistic_direction(positive, negative, options.decay), positive, negative)

        return contrast_vectors(inputs, options.contrast, find)


def logistic_direction(positive: Tensor, negative: Tensor, decay: float) -> Tensor:
    """Return the w that minimises the loss above, ``[d_model]``; zero where all states are equal.

    Args:
        positive, negative: states ``[n, d_model]`` and ``[m, d_model]``.
        decay: weight of |w|²/2.
    """
    require_extra("study", "sklearn")
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    states = torch.cat([positive, negative]).double()
    states = states - states.mean(dim=0)
    scale = states.square().mean().sqrt()
    if scale == 0:
        return torch.zeros_like(positive[0])
    labels = [1] * len(positive) + [0] * len(negative)
    fitted = LogisticRegression(C=1 / (decay * len(states)), solver="newton-cholesky", tol=1e-9, max_iter=1000)
    fitted.fit((states / scale).cpu().numpy(), labels)
    return torch.tensor(fitted.coef_[0], dtype=positive.dtype, device=positive.device)


METHOD = Probe()
