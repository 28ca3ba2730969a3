"""Overlap of vectors: cosines, shared features, and means over pairs of countries with intervals that resample countries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import hypergeom

from yapo.evaluation.bootstrap import intervals

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
FEWEST = 3  # countries: with fewer, resampling them says nothing about spread


def cosines(vectors: Floats, others: Floats | None = None) -> Floats:
    """Return the cosine of every row of ``vectors [n, d]`` with every row of ``others [m, d]``: ``[n, m]``; 0 for a row of zeros.

    ``others`` are the vectors themselves if None.
    """
    left, right = _unit(vectors), _unit(vectors if others is None else others)
    return left @ right.T


def jaccard(a: Sequence[int], b: Sequence[int]) -> float:
    """Return |A ∩ B| / |A ∪ B|; NaN where both are empty."""
    union = len(set(a) | set(b))
    return len(set(a) & set(b)) / union if union else float("nan")


def expected_jaccard(a: int, b: int, total: int) -> float:
    """Return the mean Jaccard index of random sets of ``a`` and ``b`` out of ``total`` features (hypergeometric overlap)."""
    shared = np.arange(max(0, a + b - total), min(a, b) + 1)
    if a + b == 0:
        return float("nan")
    return float((hypergeom.pmf(shared, total, a, b) * shared / (a + b - shared)).sum())


def expected_shared(a: int, b: int, total: int) -> float:
    """Return the mean number of features that random sets of ``a`` and ``b`` out of ``total`` share."""
    return a * b / total


def effect_matrix(features: Sequence[NDArray[np.int64]], values: Sequence[Floats], width: int) -> Floats:
    """Return effects, given as lists of features and values, as dense rows ``[vectors, width]``."""
    matrix = np.zeros((len(features), width))
    for row, (places, effects) in enumerate(zip(features, values, strict=True)):
        matrix[row, places] = effects
    return matrix


def pair_draws(matrix: Floats, wanted: Mask, weights: Floats) -> Floats:
    """Return the mean over the wanted pairs of countries, observed and resampled.

    Two pairs that share a country are not independent, so countries are drawn, not pairs: a country drawn w times counts w
    times in each of its pairs, and no pair joins a country with itself.

    Args:
        matrix: a number for each ordered pair, ``[countries, countries]``; NaN where there is none.
        wanted: which pairs.
        weights: how often each country is drawn, ``[1 + resamples, countries]``; row 0 is all ones (``fact_weights``).

    Returns:
        ``[1 + resamples]``: the observed mean, then the resampled ones; NaN where a draw holds no wanted pair, and in all
        draws where fewer than three countries have one.
    """
    used = wanted & np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    total = (weights @ np.where(used, matrix, 0.0) * weights).sum(axis=1)
    count = (weights @ used.astype(float) * weights).sum(axis=1)
    return _ratio(total, count, countries=int((used | used.T).any(axis=1).sum()))


def mean_draws(values: Floats, weights: Floats) -> Floats:
    """Return the mean over countries of ``values [countries]`` (NaN: left out), observed and resampled: ``[1 + resamples]``."""
    known = np.isfinite(values)
    return _ratio(weights @ np.where(known, values, 0.0), weights @ known.astype(float), countries=int(known.sum()))


def interval(draws: Floats, confidence: float) -> tuple[float, float, float]:
    """Return the observed value and the bounds of its percentile interval; bounds are NaN where there is none."""
    row = intervals(pd.DataFrame(draws[None]), confidence).iloc[0]
    return float(row["value"]), float(row["low"]), float(row["high"])


def _ratio(total: Floats, count: Floats, countries: int) -> Floats:
    with np.errstate(invalid="ignore"):
        means: Floats = total / count
    if countries < FEWEST:
        means[1:] = np.nan
    return means


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.where(norms > 0, norms, 1.0)
    return unit
