"""SFT vector (the steering vector of AxBench, arXiv 2501.17148): v lowers the language-model loss of the preferred answers.

    loss = -log π_v(y_w|x) / |y_w|          d = +1 in every step; rejected answers are not read

Beside BiPO, whose schedule it has, it shows what the preference objective brings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from yapo.steering.method import FitInputs, read_options
from yapo.steering.methods import bipo
from yapo.steering.objective import PairLogProbs
from yapo.steering.spaces import DENSE
from yapo.steering.vector import TrainedVector


@dataclass(frozen=True)
class LanguageModelLoss:
    """Mean negative log-probability of a token of the preferred answer."""

    def __call__(self, pairs: PairLogProbs, d: Tensor) -> Tensor:  # noqa: ARG002
        """See ``Objective``."""
        return -pairs.steered[:, 0] / pairs.lengths[:, 0]


class SFT:
    """h' = h + v; options as BiPO's."""

    space = DENSE
    learns = True

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[epochs, d_model]`` for each set."""
        init = read_options(bipo.Options, inputs.options).init
        one_sided = replace(inputs, train=replace(inputs.train, directions="positive"))
        return bipo.train_dense(one_sided, init, LanguageModelLoss())


METHOD = SFT()
