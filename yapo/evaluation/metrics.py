"""Robust cultural accuracy (RCA) and the performance-normalized localization gap (PNLG), with the paper's averages.

Equations 5 and 6 of YaPO (arXiv 2601.08441). Both are defined there as means over *instances*; the printed tables,
however, follow from *mean accuracies*, one pair per country. Both readings are here: ``rca`` and ``pnlg`` applied to mean
accuracies are the ``macro`` reading (the paper's tables), ``instance_rca`` and ``instance_pnlg`` the definition.

The averages work on a *draws frame*: one row per cell, indexed by ``language, country, task, setting, method`` (or some of
these and ``metric``), one column per draw. Column 0 holds the observed values, the others bootstrap resamples
(``yapo.evaluation.bootstrap``); numbers read off a printed table make a frame with column 0 alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from yapo.errors import YapoError

Floats = NDArray[np.float64]

KEYS = ["language", "country", "task", "setting", "method"]
PRINTED_DIGITS = {("mcq", "rca"): 1, ("open_ended", "rca"): 2, ("mcq", "pnlg"): 3, ("open_ended", "pnlg"): 3}


def rca(localized: ArrayLike, nonlocalized: ArrayLike) -> Floats:
    """Harmonic mean of localized and nonlocalized scores (eq. 6, in the limit of epsilon to 0).

    Args:
        localized: scores of any shape and any non-negative unit (0..1, percent, 0..10).
        nonlocalized: the same shape and unit.

    Returns:
        ``2 * loc * non / (loc + non)`` elementwise, in the unit of the input; 0 where both are 0.

    Raises:
        YapoError: a score is negative.
    """
    loc, non = _scores(localized), _scores(nonlocalized)
    total = loc + non
    return np.divide(2 * loc * non, total, out=np.zeros_like(total), where=total != 0)


def pnlg(localized: ArrayLike, nonlocalized: ArrayLike, alpha: float = 1.0) -> Floats:
    """Localization gap relative to mean performance (eq. 5, in the limit of epsilon to 0).

    Args:
        localized: scores of any shape; any non-negative unit when ``alpha`` is 1, else 0..1 (the result then depends on it).
        nonlocalized: the same shape and unit.
        alpha: strength of the normalization in 0..1; the paper's tables use 1, and 0 gives the raw gap.

    Returns:
        ``(loc - non) / ((loc + non) / 2) ** alpha`` elementwise, between -2 and 2 when ``alpha`` is 1; 0 where both are 0.

    Raises:
        YapoError: a score is negative, or ``alpha`` lies outside 0..1.
    """
    if not 0 <= alpha <= 1:
        raise YapoError(f"alpha of PNLG is {alpha}; give a number from 0 (raw gap) to 1 (the paper's tables)")
    loc, non = _scores(localized), _scores(nonlocalized)
    mean = (loc + non) / 2
    return np.divide(loc - non, mean**alpha, out=np.zeros_like(mean), where=mean != 0)


def instance_rca(localized: ArrayLike, nonlocalized: ArrayLike) -> float:
    """Mean over pairs of prompts of the harmonic mean (eq. 6 as defined).

    For 0/1 scores this is the share of pairs with both prompts answered correctly.

    Args:
        localized: one score per pair, shape (pairs,).
        nonlocalized: the score of the other prompt of each pair, shape (pairs,).
    """
    return float(np.mean(rca(localized, nonlocalized)))


def instance_pnlg(localized: ArrayLike, nonlocalized: ArrayLike, alpha: float = 1.0) -> float:
    """Mean over pairs of prompts of the normalized gap (eq. 5 as defined).

    For 0/1 scores and ``alpha`` 1 this is twice the raw gap.

    Args:
        localized: one score per pair, shape (pairs,).
        nonlocalized: the score of the other prompt of each pair, shape (pairs,).
        alpha: see ``pnlg``.
    """
    return float(np.mean(pnlg(localized, nonlocalized, alpha)))


def round_half_up(values: ArrayLike, digits: int) -> Floats:
    """Round to ``digits`` decimals, halves away from zero, as the paper prints.

    A decimal half that floating point stores slightly too small (0.825 as 0.82499...) still counts as a half.
    """
    scaled = np.asarray(values, dtype=np.float64) * 10.0**digits
    rounded: Floats = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5 + 1e-9) / 10.0**digits
    return rounded + 0.0  # -0.0 becomes 0.0


def country_metrics(scores: pd.DataFrame) -> pd.DataFrame:
    """RCA and PNLG of every country, task and method from its mean scores (the ``macro`` reading).

    Args:
        scores: draws frame indexed by ``KEYS``.

    Returns:
        Draws frame indexed by ``metric, language, country, task, method``; cells without both settings are absent.
    """
    setting = scores.index.get_level_values("setting")
    localized = scores[setting == "localized"].droplevel("setting")
    nonlocalized = scores[setting == "nonlocalized"].droplevel("setting")
    shared = localized.index.intersection(nonlocalized.index)
    loc, non = localized.loc[shared].to_numpy(), nonlocalized.loc[shared].to_numpy()
    parts = {"rca": rca(loc, non), "pnlg": pnlg(loc, non)}
    frames = {name: pd.DataFrame(values, index=shared, columns=scores.columns) for name, values in parts.items()}
    return pd.concat(frames, names=["metric"])


def mean_over(draws: pd.DataFrame, level: str, within: list[str]) -> pd.DataFrame:
    """Unweighted mean over one index level, the paper's rule for averages.

    A mean is given only where it covers every value of ``level`` found in its ``within`` group, so that methods are never
    compared over different sets of countries.

    Args:
        draws: draws frame.
        level: level to average out: ``country``, or ``language``.
        within: levels that say where a full set is expected, for example ``["language", "task"]`` for countries.
    """
    others = [str(name) for name in draws.index.names if name != level]
    keys = draws.index.to_frame(index=False)
    expected = keys.groupby(within)[level].transform("nunique") if within else pd.Series(keys[level].nunique(), keys.index)
    found = keys.groupby(others)[level].transform("nunique")
    complete = (found == expected).to_numpy()
    return draws[complete].groupby(level=others, sort=False).mean(skipna=False)


def language_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """Language rows of the paper's table 3: mean over countries of the unrounded country metric.

    Args:
        metrics: draws frame with levels ``metric, language, country, task, method``.
    """
    return mean_over(metrics, "country", ["language", "task"])


def overall_metrics(languages: pd.DataFrame) -> pd.DataFrame:
    """Overall row of the paper's table 3: mean of the *printed* (rounded) language rows, each language counted once.

    Args:
        languages: draws frame with levels ``metric, language, task, method`` in the printed units: percent for multiple
            choice, 0..10 for open-ended.
    """
    keys = languages.index.to_frame(index=False)
    digits = [PRINTED_DIGITS[task, metric] for task, metric in zip(keys["task"], keys["metric"], strict=True)]
    rounded = [round_half_up(row, places) for row, places in zip(languages.to_numpy(), digits, strict=True)]
    printed = pd.DataFrame(np.array(rounded).reshape(languages.shape), index=languages.index, columns=languages.columns)
    return mean_over(printed, "language", ["task"])


def minus_baseline(draws: pd.DataFrame) -> pd.DataFrame:
    """Difference of every cell from the baseline's cell of the same row, draw by draw; NaN without a baseline."""
    method = draws.index.get_level_values("method")
    rows = draws.droplevel("method")
    baseline = rows[method == "baseline"].reindex(rows.index)
    return pd.DataFrame(draws.to_numpy() - baseline.to_numpy(), index=draws.index, columns=draws.columns)


def _scores(values: Any) -> Floats:
    scores = np.asarray(values, dtype=np.float64)
    if np.any(scores < 0):
        raise YapoError(f"RCA and PNLG need scores of at least 0, found {np.nanmin(scores)}; check the scorer's scale")
    return scores
