"""CuE, cultural embeddings (arXiv 2603.23301): the SAE features that tell the study's countries apart.

As described in the abstract and in notes of two reproductions. x_j is the activation of feature j in a text, the maximum over its
tokens, and a_j whether it is above 0; c is the text's country.

    I(a_j; c) = sum over a, c of  P(a, c) log( P(a, c) / (P(a) P(c)) )
    S         = the fewest features, those with the largest I first, that hold the share ρ of the sum of I over all features
    v         = W_dec (mean of x in the country - mean over the other countries of their means), on S alone

Ours: the texts are the chosen answers of the training questions that do not name their country, where published runs read
statements about countries with the names taken out. All countries of the study count, those of other languages too, so that v
also leads to the country's language. Published runs steer every layer that has features in S; here it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from yapo.checks import require
from yapo.errors import YapoError
from yapo.steering.activations import ActivationStore
from yapo.steering.answer_features import FeatureSums, Pool, feature_sums
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import DENSE
from yapo.steering.vector import TrainedVector

COMPARES_COUNTRIES = True
ROUNDING = 1e-9  # nats


@dataclass(frozen=True)
class Options:
    """``method.options``.

    Attributes:
        rho: share of the mutual information that the features of S hold.
        pool: of a text's tokens.
    """

    rho: float
    pool: Pool

    def __post_init__(self) -> None:
        require(0 < self.rho <= 1, "method.options.rho", self.rho, "a share of the mutual information, above 0 and up to 1")


class CuE:
    """Dense; one vector for all settings of a country."""

    space = DENSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, d_model]`` for each set.

        Raises:
            YapoError: there is no other country, or no feature tells them apart.
        """
        options, width = read_options(Options, inputs.options), inputs.sae.d_sae
        if not inputs.others:
            raise YapoError("method=cue: tells a country from the others of the study, and here is none; leave it out")
        own = _sums(inputs.store, inputs.rows, options.pool, width)
        others = [_sums(other.store, other.rows, options.pool, width) for other in inputs.others.values()]
        information = mutual_information([own, *others])
        if not bool((information > 0).any()):
            raise YapoError("method=cue: no feature tells the countries apart; take another layer or autoencoder")
        kept = most_informative(information, options.rho)
        difference = own.mean - torch.stack([other.mean for other in others]).mean(dim=0)
        W_dec = inputs.sae.W_dec
        v = difference[kept].to(W_dec) @ W_dec[kept.to(W_dec.device)]
        return {part.name: inputs.vector(part, v[None].cpu()) for part in inputs.sets}


def mutual_information(countries: Sequence[FeatureSums]) -> Tensor:
    """Return I(a_j; c) of each feature in nats, float64 ``[d_sae]``."""
    n = sum(country.n for country in countries)
    fires = sum((country.fired for country in countries), torch.zeros(())) / n
    information = torch.zeros_like(fires)
    for country in countries:
        for joint, alone in ((country.fired / n, fires), ((country.n - country.fired) / n, 1 - fires)):
            information += torch.where(joint > 0, joint * torch.log(joint / (alone * (country.n / n))), 0.0)
    return information.clamp_min(0)


def most_informative(information: Tensor, rho: float) -> Tensor:
    """Return the fewest features that hold the share ``rho`` of all information, most informative first."""
    values, order = information.round(decimals=12).sort(descending=True, stable=True)  # rounding errors decide no tie
    held = values.cumsum(dim=0)
    return order[: int((held < rho * held[-1] - ROUNDING).sum()) + 1]


def _sums(store: ActivationStore, rows: pd.DataFrame, pool: Pool, width: int) -> FeatureSums:
    texts = rows.index[(rows["split"] == "train") & (rows["variant"] == "nonlocalized")].tolist()
    if not texts:
        raise YapoError("method=cue: a country has no training question without its name; leave the method out")
    return feature_sums(store, texts, "chosen", pool, width)


METHOD = CuE()
