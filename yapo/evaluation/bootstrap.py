"""Cluster bootstrap: intervals that resample facts, not rows.

Phrasings of one fact are not independent, nor are its localized and nonlocalized forms, its answers by several methods,
or its forms in sibling countries. So one resample draws *facts* (``question_id``) with replacement and takes all their rows
along, the same facts in every cell: differences between methods, RCA, PNLG and language averages then vary as they should.

A bootstrap cannot see what did not happen: where all facts are alike, as when every answer is right, each resample is equal to
the sample. Such a cell gets Clopper and Pearson's interval instead, counted in facts: of 31 facts that are all right, up to
11.2 % may be wrong ones in the long run (95 %), so that accuracy lies in [88.8, 100].
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from yapo.errors import YapoError

Floats = NDArray[np.float64]


def fact_weights(facts: int, resamples: int, seed: int) -> Floats:
    """Draw how often each fact occurs.

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
    """Return the mean score of every cell, observed and in every resample.

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
    group = grouped.ngroup().to_numpy()
    index = pd.MultiIndex.from_frame(rows.drop_duplicates(keys)[keys])

    score = rows["score"].to_numpy(dtype=np.float64)
    scored = np.isfinite(score)
    position = (fact * len(index) + group)[scored]
    size, shape = len(facts) * len(index), (len(facts), len(index))
    sums = np.bincount(position, weights=score[scored], minlength=size).reshape(shape)
    counts = np.bincount(position, minlength=size).astype(np.float64).reshape(shape)

    weights = fact_weights(len(facts), resamples, seed)
    with np.errstate(invalid="ignore"):  # 0 / 0: none of a cell's facts was drawn
        means = (weights @ sums) / (weights @ counts)
    means[1:, (counts > 0).sum(axis=0) < 2] = np.nan
    return pd.DataFrame(means.T, index=index)


def unseen_share(facts: ArrayLike, confidence: float) -> Floats:
    """Return the largest share of facts that may differ where all that were seen are alike (Clopper and Pearson's bound).

    Args:
        facts: how many were seen, of any shape.
        confidence: mass of the two-sided interval.
    """
    tail = (1 - confidence) / 2
    share: Floats = 1 - tail ** (1 / np.asarray(facts, dtype=np.float64))
    return share


def alike(draws: pd.DataFrame) -> NDArray[np.bool_]:
    """Return for each row of a draws frame whether it has resamples and all are equal to the observed value."""
    values = draws.to_numpy()
    gap = np.abs(values[:, 1:] - values[:, :1])
    finite = np.isfinite(gap)
    same: NDArray[np.bool_] = finite.any(axis=1) & (np.where(finite, gap, 0) <= 1e-9 * (1 + np.abs(values[:, :1]))).all(axis=1)
    return same


def intervals(
    draws: pd.DataFrame,
    confidence: float,
    *,
    facts: ArrayLike | None = None,
    span: tuple[ArrayLike, ArrayLike] | None = None,
) -> pd.DataFrame:
    """Return the observed value and percentile interval of every row of a draws frame.

    Args:
        draws: column 0 the observed value, the other columns resamples.
        confidence: mass of the interval, for example 0.95.
        facts: number of distinct facts behind each row, shape (rows,); NaN where a row is to have the percentile interval only.
        span: lowest and highest value of what a row is the mean of, each one number or shape (rows,). With ``facts`` and
            ``span``, a row in which all facts are alike, at one of its ends, has Clopper and Pearson's interval: the mean that
            comes out if the unseen share of facts lies at the other end. A signed range (of differences) has an end at 0 too.

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
    if facts is not None and span is not None:
        share = np.broadcast_to(unseen_share(facts, confidence), len(values))
        least, most = (np.broadcast_to(np.asarray(end, dtype=np.float64), len(values)) for end in span)
        at_an_end = alike(draws) & np.isfinite(share) & np.isfinite(least) & np.isfinite(most)
        at_an_end &= np.isclose(values[:, 0], least) | np.isclose(values[:, 0], most) | (least < 0)
        observed = values[at_an_end, 0]
        bounds[at_an_end, 0] = observed - share[at_an_end] * (observed - least[at_an_end])
        bounds[at_an_end, 1] = observed + share[at_an_end] * (most[at_an_end] - observed)
    return pd.DataFrame({"value": values[:, 0], "low": bounds[:, 0], "high": bounds[:, 1]}, index=draws.index)


def differences(
    draws: pd.DataFrame, base: pd.DataFrame, bounds: pd.DataFrame, base_bounds: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """Return the difference of every row from its base, with its interval, from resamples that draw the same facts.

    Where all facts are alike on both sides, it is Newcombe's interval, made from the intervals of both.

    Args:
        draws: draws frame.
        base: that of the base of each row, row by row; NaN where there is none.
        bounds: the ``intervals`` of ``draws``.
        base_bounds: the ``intervals`` of ``base``, row by row.
        confidence: mass of the interval.

    Returns:
        Columns ``value``, ``low``, ``high``, indexed as ``draws``. A row that is its own base keeps 0, 0, 0.
    """
    found = intervals(pd.DataFrame(draws.to_numpy() - base.to_numpy(), draws.index), confidence)
    itself = np.array([one == other for one, other in zip(draws.index, base.index, strict=True)], dtype=bool)
    both = alike(draws) & alike(base) & ~itself
    below, above = (np.abs((bounds["value"] - bounds[side]).to_numpy()) for side in ("low", "high"))
    base_below, base_above = (np.abs((base_bounds["value"] - base_bounds[side]).to_numpy()) for side in ("low", "high"))
    found.loc[both, "low"] = (found["value"] - np.hypot(below, base_above))[both]
    found.loc[both, "high"] = (found["value"] + np.hypot(above, base_below))[both]
    return found


def baseline_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the baseline's row for each row of a frame with the index level ``method``; NaN where there is none."""
    index = frame.index.to_frame(index=False).assign(method="baseline")
    return frame.reindex(pd.MultiIndex.from_frame(index))
