"""CorrSteer (arXiv 2508.12535): the SAE features whose activation goes with correct answers.

As described in its authors' summaries and read from their code. With x the activation of a feature in an answer, the maximum over
the tokens at which it is written, and y = 1 for a correct answer, 0 for a wrong one:

    r   = cov(x, y) / (std(x) std(y))
    v_j = mean of x_j over the correct answers, for the k features with the largest r > 0; 0 for all others

Ours: the answers are those of the training pairs, the chosen one correct and the rejected one, which the model wrote, wrong;
published runs sample answers and score them. The published method takes one feature of each of several layers, or the best of
them; here all k are of one layer. It has no pruning by validation but the choice of λ.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.checks import require
from yapo.errors import YapoError
from yapo.steering.answer_features import FeatureSums, Pool, feature_sums
from yapo.steering.interventions import Threshold
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import SPARSE
from yapo.steering.vector import TrainedVector

_CONSTANT = 1e-12  # variance of a feature, as a share of its mean square, that is rounding


@dataclass(frozen=True)
class Options:
    """``method.options``.

    Attributes:
        features: k, how many are steered.
        pool: of an answer's tokens.
        threshold: what follows the addition.
    """

    features: int
    pool: Pool
    threshold: Threshold

    def __post_init__(self) -> None:
        require(self.features > 0, "method.options.features", self.features, "at least 1")


class CorrSteer:
    """Adds what is typical of correct answers, and takes nothing away."""

    space = SPARSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, d_sae]`` for each set.

        Raises:
            YapoError: no feature goes with correct answers.
        """
        options, width = read_options(Options, inputs.options), inputs.sae.d_sae
        vectors = {}
        for part in inputs.sets:
            correct = feature_sums(inputs.store, part.train, "chosen", options.pool, width)
            wrong = feature_sums(inputs.store, part.train, "rejected", options.pool, width)
            r = correlation(correct, wrong)
            if not bool((r > 0).any()):
                raise YapoError(f"method=corrsteer: {part.name}: no feature goes with correct answers; take another layer")
            best = r.round(decimals=12).argsort(descending=True, stable=True)[: options.features]  # rounding errors decide no tie
            best = best[r[best] > 0]
            v = torch.zeros(width).index_copy(0, best, correct.mean[best].float())
            vectors[part.name] = inputs.vector(part, v[None], threshold=options.threshold)
        return vectors


def correlation(correct: FeatureSums, wrong: FeatureSums) -> Tensor:
    """Return Pearson's r of each feature's activation with correctness, float64 ``[d_sae]``; 0 for one that does not vary."""
    n = correct.n + wrong.n
    share = correct.n / n
    square = (correct.squares + wrong.squares) / n
    variance = square - ((correct.total + wrong.total) / n).square()
    varies = variance > _CONSTANT * square
    covariance = share * (1 - share) * (correct.mean - wrong.mean)
    deviations = (variance.clamp_min(0) * share * (1 - share)).sqrt()
    return torch.where(varies, covariance / torch.where(varies, deviations, 1), 0.0)


METHOD = CorrSteer()
