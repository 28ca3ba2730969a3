"""RePS, reference-free preference steering (arXiv 2505.20809): a dense vector trained on length-normalised log-probabilities.

    loss = -log σ( max(log π_0(y_l|x) - log π_0(y_w|x), 1) / |y_w| · log π_v(y_w|x)  -  1 / |y_l| · log π_v(y_l|x) )

The untouched model only weighs: the less it likes the preferred answer, the more that answer counts. Each minibatch is steered by
λ·d·v with a λ of its own, drawn from ``multipliers``.

The equation is that of the authors' code (``scaled_simpo`` in stanfordnlp/axbench, scaler 1). Theirs trains the reverse direction
by projecting v out of the states, or, as an option, by subtracting it; ours subtracts, as BiPO does, with the two answers
swapped. ``train.directions=positive`` trains one direction alone. Their factors are of a unit vector, ours are in units of λ.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from yapo.checks import require
from yapo.steering.method import FitInputs, read_options
from yapo.steering.methods import bipo
from yapo.steering.objective import PairLogProbs
from yapo.steering.spaces import DENSE
from yapo.steering.training.starts import Start
from yapo.steering.vector import TrainedVector


@dataclass(frozen=True)
class Options:
    """``method.options``.

    Attributes:
        multipliers: λ, one of which is drawn for each minibatch.
        init: where a vector starts.
    """

    multipliers: list[float]
    init: Start

    def __post_init__(self) -> None:
        right = bool(self.multipliers) and all(0 < value < inf for value in self.multipliers)
        require(right, "method.options.multipliers", self.multipliers, "one or more numbers above 0, not infinite")


@dataclass(frozen=True)
class ReferenceFree:
    """The loss above; at d = -1 the two answers change places."""

    def __call__(self, pairs: PairLogProbs, d: Tensor) -> Tensor:
        """See ``Objective``."""
        forward = (d > 0)[:, None]
        steered, unsteered, lengths = (
            torch.where(forward, each, each.flip(1)) for each in (pairs.steered, pairs.unsteered, pairs.lengths)
        )
        weight = (unsteered[:, 1] - unsteered[:, 0]).clamp_min(1.0)
        per_token = steered / lengths
        return -torch.nn.functional.logsigmoid(weight * per_token[:, 0] - per_token[:, 1])


class RePS:
    """h' = h + d·λ·v."""

    space = DENSE
    learns = True

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[epochs, d_model]`` for each set."""
        options = read_options(Options, inputs.options)
        return bipo.train_dense(inputs, options.init, ReferenceFree(), options.multipliers)


METHOD = RePS()
