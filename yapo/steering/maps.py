"""Maps between the residual streams of two models, learned on their states at the same places of shared text.

    h_target ≈ (h_source - mean)·W + mean'        v' = v·W

A steering vector is a difference of states, so a map carries it by W alone, ``[d_source, d_target]``, without the means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.sparse import csr_array
from scipy.stats import ortho_group

from yapo.errors import require_extra

Floats = NDArray[np.float64]
PENALTIES = 10.0 ** np.arange(-6, 2)  # of the ridge regression, in units of the sum of squares of a state's entry


@dataclass(frozen=True)
class ResidualMap:
    """A linear map of states.

    Attributes:
        weights: W, ``[d_source, d_target]``.
        means: of the states that it was learned on, ``[d_source]`` and ``[d_target]``.
    """

    weights: Floats
    means: tuple[Floats, Floats]

    def explained_variance(self, source: Floats, target: Floats) -> float:
        """Return the share of the variance of target states that the map explains: 1 at best, below 0 where means do better.

        Args:
            source, target: states at the same places, ``[n, d_source]`` and ``[n, d_target]``, on which it was not learned.
        """
        centred = target - self.means[1]
        missed = centred - (source - self.means[0]) @ self.weights
        return float(1.0 - np.square(missed).sum() / np.square(centred).sum())


def ridge_map(source: Floats, target: Floats) -> ResidualMap:
    """Return the ridge regression of target on source states; leave-one-out error chooses the penalty among ``PENALTIES``.

    Args:
        source, target: states at the same places, ``[n, d_source]`` and ``[n, d_target]``.
    """
    require_extra("study", "sklearn")
    from sklearn.linear_model import RidgeCV  # takes a second to import

    fitted = RidgeCV(alphas=PENALTIES * source.var(axis=0).mean() * len(source)).fit(source, target)
    return ResidualMap(fitted.coef_.T, _means(source, target))


def procrustes_map(source: Floats, target: Floats) -> ResidualMap:
    """Return the rotation or reflection, times one number, that brings centred source states nearest to the target's.

    Between unequal widths the narrower states are filled up with zeros, so that W has orthogonal rows (to a wider model) or
    columns (to a narrower one), all of one length.

    Args:
        source, target: states at the same places, ``[n, d_source]`` and ``[n, d_target]``.
    """
    means, width = _means(source, target), max(source.shape[1], target.shape[1])
    x, y = (np.pad(states - mean, ((0, 0), (0, width - len(mean)))) for states, mean in zip((source, target), means, strict=True))
    rotation, total = orthogonal_procrustes(x, y)
    rotation = rotation[: source.shape[1], : target.shape[1]]
    reached = np.square(x[:, : source.shape[1]] @ rotation).sum()
    return ResidualMap(rotation * (total / reached), means)


def random_map(source: Floats, target: Floats, seed: int) -> ResidualMap:
    """Return a rotation drawn uniformly, cut to the widths of the two models: the control."""
    drawn = ortho_group.rvs(max(source.shape[1], target.shape[1]), random_state=seed)
    return ResidualMap(drawn[: source.shape[1], : target.shape[1]], _means(source, target))


def _means(source: Floats, target: Floats) -> tuple[Floats, Floats]:
    return source.mean(axis=0), target.mean(axis=0)


@dataclass(frozen=True)
class FeatureMatches:
    """Pairs of features of two autoencoders, each the other's most correlated one.

    Attributes:
        source, target: their numbers, ``[pairs]``.
        correlation: of their activations over shared text, above 0, ``[pairs]``.
        scale: standard deviation of the target's activation in units of the source's, ``[pairs]``.
        d_target: features of the target's autoencoder.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    correlation: Floats
    scale: Floats
    d_target: int

    def carry(self, values: Floats) -> Floats:
        """Return a sparse vector ``[d_source]`` in the target's features, ``[d_target]``; features without a match are lost."""
        carried = np.zeros(self.d_target)
        carried[self.target] = values[self.source] * self.scale
        return carried

    def kept(self, values: Floats) -> float:
        """Return the share of a sparse vector's length that lies in features with a match."""
        return float(np.linalg.norm(values[self.source]) / np.linalg.norm(values))


def match_features(source: csr_array, target: csr_array) -> FeatureMatches:
    """Match features by the correlation of their activations.

    Args:
        source, target: codes at the same places, ``[n, d_source]`` and ``[n, d_target]``.
    """
    (mean, spread), (other_mean, other_spread) = _moments(source), _moments(target)
    both = (source.T @ target).tocoo()
    rows, columns = both.coords
    covariance = both.data / source.shape[0] - mean[rows] * other_mean[columns]
    correlation = covariance / np.maximum(spread[rows] * other_spread[columns], np.finfo(float).tiny)
    alike = csr_array((np.maximum(correlation, 0.0), (rows, columns)), shape=both.shape)  # two that never fire together: below 0
    nearest, back = alike.argmax(axis=1), alike.argmax(axis=0)
    found = np.asarray(alike.max(axis=1).todense()).ravel()
    mutual = np.flatnonzero((back[nearest] == np.arange(len(nearest))) & (found > 0))
    places = nearest[mutual]
    return FeatureMatches(mutual, places, found[mutual], other_spread[places] / spread[mutual], target.shape[1])


def _moments(codes: csr_array) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each feature, ``[features]``."""
    mean = np.asarray(codes.mean(axis=0)).ravel()
    square = np.asarray(codes.multiply(codes).mean(axis=0)).ravel()
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))
