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
from yapo.steering.contrast import Contrast, contrast_states
from yapo.steering.directions import along_separation
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import DENSE
from yapo.steering.vector import TrainedVector

STEPS = 100  # of Newton's method; it takes about ten


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
        options, vectors = read_options(Options, inputs.options), {}
        for part in inputs.sets:
            positive, negative = (side.float() for side in contrast_states(inputs, part, options.contrast))
            weights = logistic_direction(positive, negative, options.decay)
            vectors[part.name] = inputs.vector(part, along_separation(weights, positive, negative)[None])
        return vectors


def logistic_direction(positive: Tensor, negative: Tensor, decay: float) -> Tensor:
    """Return the w that minimises the loss above, ``[d_model]``, by Newton's method in the space that the states span.

    Args:
        positive, negative: states ``[n, d_model]`` and ``[m, d_model]``.
        decay: weight of |w|²/2.
    """
    states = torch.cat([positive, negative]).double()
    labels = torch.cat([torch.ones(len(positive)), torch.zeros(len(negative))]).double().to(states.device)
    states = states - states.mean(dim=0)
    scale = states.square().mean().sqrt()
    if scale == 0:
        return torch.zeros_like(positive[0])
    states = states / scale
    # w lies in the span of the states, so that it is searched for in coordinates there: at most n + m of them.
    _, sizes, axes = torch.linalg.svd(states, full_matrices=False)
    axes = axes[sizes > 1e-9 * sizes[0]]
    rows = torch.nn.functional.pad(states @ axes.T, (0, 1), value=1.0)  # the last column is b
    penalty = torch.full((rows.shape[1],), decay, dtype=rows.dtype, device=rows.device)
    penalty[-1] = 0.0
    w = torch.zeros_like(penalty)
    for _ in range(STEPS):
        p = (rows @ w).sigmoid()
        gradient = rows.T @ (p - labels) / len(rows) + penalty * w
        hessian = rows.T @ (rows * (p * (1 - p))[:, None]) / len(rows) + penalty.diag()
        hessian[-1, -1] += 1e-12  # b is not penalised; far from the boundary nothing else curves it
        step = torch.linalg.solve(hessian, gradient)
        w = w - _length(w, step, rows, labels, penalty) * step
        if step.norm() <= 1e-10 * max(1.0, float(w.norm())):
            break
    direction: Tensor = w[:-1] @ axes
    return direction.to(positive.dtype)


def _length(w: Tensor, step: Tensor, rows: Tensor, labels: Tensor, penalty: Tensor) -> float:
    """Return how much of a Newton step lowers the loss: all of it near the minimum, halves of it far away."""

    def loss(weights: Tensor) -> float:
        logits = rows @ weights
        return float(torch.nn.functional.binary_cross_entropy_with_logits(logits, labels) + (penalty * weights**2).sum() / 2)

    before, length = loss(w), 1.0
    while length > 1e-6 and loss(w - length * step) > before + 1e-15:
        length /= 2
    return length


METHOD = Probe()
