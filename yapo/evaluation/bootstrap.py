"""Cluster bootstrap: intervals that resample facts, not rows.

Phrasings of one fact are not independent, nor are its localized and nonlocalized forms, its answers by several methods,
or its forms in sibling countries. So one resample draws *facts* (``question_id``) with replacement and takes all their rows
along, the same facts in every cell: differences between methods, RCA, PNLG and language averages then vary as they should.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yapo.errors import YapoError

Floats = NDArray[np.float64]


def fact_weights(facts: int, resamples: int, seed: int) -> Floats:
    """How often each fact is drawn.

    Args:
        facts: number of distinct facts.
        resamples: number of bootstrap resamples; 0 gives the observed sample alone.
        seed: seed of the draw.

    Returns:
        Shape (1 + resamples, facts). Row 0 is the observed sample (all ones); every other row sums to ``facts``.
    """
    drawn = np.random.default_rng(seed).multinomial(facts, np.full(facts, 1 / facts), size=resamples)
    return np.vstack([np.ones((1, facts)), drawn.astype(np.float64)])


def resampled_means(rows: pd.DataFrame, keys: list[str], *, resamples: int, seed: int) -> pd.DataFrame:
    """Mean score of every cell, observed and in every resample.

    Args:
        rows: one row per scored item, with ``keys``, ``question_id`` and ``score`` (NaN: unscored, left out).
        keys: columns that name a cell.
        resamples: number of bootstrap resamples.
        seed: seed of the draw; equal seeds and equal sets of facts give equal draws, whatever the order of the rows.

    Returns:
        Draws frame indexed by ``keys`` in order of first appearance: column 0 the observed mean, columns 1..resamples the
        resampled ones. A resample that holds none of a cell's facts is NaN there, as is every resample of a cell with
        fewer than two facts, which says nothing about spread.

    Raises:
        YapoError: ``rows`` is empty, or ``resamples`` is negative.
    """
    if rows.empty:
        raise YapoError("no scored rows to resample; run the evaluate stage for at least one country first")
    if resamples < 0:
        raise YapoError(f"resamples is {resamples}; give 0 (no intervals) or more")
    fact, facts = pd.factorize(rows["question_id"], sort=True)
    grouped = rows.groupby(keys, sort=False)
    cell = grouped.ngroup().to_numpy()
    index = pd.MultiIndex.from_frame(rows.drop_duplicates(keys)[keys])

    score = rows["score"].to_numpy(dtype=np.float64)
    scored = np.isfinite(score)
    place = (fact * len(index) + cell)[scored]
    size, shape = len(facts) * len(index), (len(facts), len(index))
    sums = np.bincount(place, weights=score[scored], minlength=size).reshape(shape)
    counts = np.bincount(place, minlength=size).astype(np.float64).reshape(shape)

    weights = fact_weights(len(facts), resamples, seed)
    with np.errstate(invalid="ignore"):  # 0 / 0: none of a cell's facts was drawn
        means = (weights @ sums) / (weights @ counts)
    means[1:, (counts > 0).sum(axis=0) < 2] = np.nan
    return pd.DataFrame(means.T, index=index)


def intervals(draws: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Observed value and percentile interval of every row of a draws frame.

    Args:
        draws: column 0 the observed value, the other columns resamples.
        confidence: mass of the interval, for example 0.95.

    Returns:
        Columns ``value``, ``low``, ``high``, same index; bounds are NaN where there are no finite resamples.

    Raises:
        YapoError: ``confidence`` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise YapoError(f"confidence is {confidence}; give a number between 0 and 1, for example 0.95")
    values = draws.to_numpy()
    resampled = values[:, 1:]
    bounds = np.full((len(values), 2), np.nan)
    tail = (1 - confidence) / 2
    finite = np.isfinite(resampled)
    some = finite.any(axis=1)
    whole = some & finite.all(axis=1)
    if whole.any():
        bounds[whole] = np.quantile(resampled[whole], [tail, 1 - tail], axis=1).T
    for row in np.flatnonzero(some & ~whole):
        bounds[row] = np.quantile(resampled[row][finite[row]], [tail, 1 - tail])
    return pd.DataFrame({"value": values[:, 0], "low": bounds[:, 0], "high": bounds[:, 1]}, index=draws.index)
