"""Robust cultural accuracy (RCA) and the performance-normalized localization gap (PNLG), with the paper's averages.

Equations 5 and 6 of YaPO (arXiv 2601.08441). Both are defined there as means over *instances*; the printed tables,
however, follow from *mean accuracies*, one pair per country. ``rca`` and ``pnlg`` give either: of mean accuracies they are the
``macro`` reading (the paper's tables), and their mean over pairs of prompts is the definition.

The averages work on a *draws frame*: one row per cell, indexed by ``language, country, task, setting, method`` (or some of
these and ``metric``), one column per draw. Column 0 holds the observed values, the others bootstrap resamples
(``yapo.evaluation.bootstrap``); numbers read off a printed table make a frame with column 0 alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from yapo.data.text import shown
from yapo.errors import YapoError

Floats = NDArray[np.float64]

_MOST = 100.0  # the highest score of any unit: percents
KEYS = ["language", "country", "task", "setting", "method"]
PRINTED_DIGITS = {("mcq", "rca"): 1, ("open_ended", "rca"): 2, ("mcq", "pnlg"): 3, ("open_ended", "pnlg"): 3}


def rca(localized: ArrayLike, nonlocalized: ArrayLike) -> Floats:
    """Return the harmonic mean of localized and nonlocalized scores (eq. 6, in the limit of epsilon to 0).

    Examples:
        >>> import yapo
        >>> yapo.rca([80.0, 70.0], [40.0, 35.0]).round(2).tolist()
        [53.33, 46.67]

    Args:
        localized: scores of any shape, as shares (0..1), in 0..10 or in percent.
        nonlocalized: the same shape and unit, or one number.

    Returns:
        ``2 * loc * non / (loc + non)`` elementwise, in the unit of the input; 0 where both are 0.

    Raises:
        YapoError: the shapes differ, or a score is no number from 0 to 100.
    """
    return _rca(*_pair(localized, nonlocalized))


def pnlg(localized: ArrayLike, nonlocalized: ArrayLike, alpha: float = 1.0, top: float | None = None) -> Floats:
    """Return the localization gap relative to mean performance (eq. 5, in the limit of epsilon to 0).

    Examples:
        >>> import yapo
        >>> yapo.pnlg([80.0, 70.0], [40.0, 70.0]).round(2).tolist()
        [0.67, 0.0]

    Args:
        localized: scores of any shape, as shares (0..1), in 0..10 or in percent.
        nonlocalized: the same shape and unit, or one number.
        alpha: strength of the normalization in 0..1; the paper's tables use 1, and 0 gives the raw gap.
        top: the highest possible score: 100 for percents, 10 for grades. Below ``alpha`` 1 the result depends on the unit, so
            it is always that of shares, and scores that are none need ``top``.

    Returns:
        ``(loc - non) / ((loc + non) / 2) ** alpha`` elementwise, between -2 and 2 when ``alpha`` is 1; 0 where both are 0.

    Raises:
        YapoError: the shapes differ, a score is no number from 0 to ``top`` (or 100), ``alpha`` lies outside 0..1, or scores
            above 1 come without ``top`` at an ``alpha`` below 1.
    """
    if not (isinstance(alpha, int | float) and 0 <= alpha <= 1):
        raise YapoError(f"alpha of PNLG is {shown(alpha, bare=True)}; give a number from 0 (raw gap) to 1 (the paper's tables)")
    if top is not None and not (isinstance(top, int | float) and 0 < top <= _MOST):
        raise YapoError(
            f"top of PNLG is {shown(top, bare=True)}; give the highest possible score: 1 for shares, 10 for grades, 100 for "
            "percents"
        )
    loc, non = _pair(localized, nonlocalized, _MOST if top is None else top)
    if alpha != 1:
        largest = max(loc.max(initial=0.0), non.max(initial=0.0))
        if top is None and largest > 1:
            raise YapoError(
                f"alpha={alpha}: below 1 PNLG depends on the unit, and a score of {largest:g} is no share; give top=100 for "
                "percents, top=10 for grades, or divide"
            )
        loc, non = loc / (top or 1.0), non / (top or 1.0)
    return _pnlg(loc, non, alpha)


def round_half_up(values: ArrayLike, digits: int) -> Floats:
    """Round to ``digits`` decimals, halves away from zero, as the paper prints.

    A decimal half that floating point stores slightly too small (0.825 as 0.82499...) still counts as a half.
    """
    scaled = np.asarray(values, dtype=np.float64) * 10.0**digits
    rounded: Floats = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5 + 1e-9) / 10.0**digits
    return rounded + 0.0  # -0.0 becomes 0.0


def country_metrics(scores: pd.DataFrame) -> pd.DataFrame:
    """Return RCA and PNLG of every country, task and method from its mean scores (the ``macro`` reading).

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
    parts = {"rca": _rca(loc, non), "pnlg": _pnlg(loc, non)}  # a resample may hold none of a country's facts: NaN
    frames = {name: pd.DataFrame(values, index=shared, columns=scores.columns) for name, values in parts.items()}
    return pd.concat(frames, names=["metric"])


def mean_over(draws: pd.DataFrame, level: str, within: list[str]) -> pd.DataFrame:
    """Return the unweighted mean over one index level, the paper's rule for averages.

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
    """Return the language rows of the paper's table 3: mean over countries of the unrounded country metric.

    Args:
        metrics: draws frame with levels ``metric, language, country, task, method``.
    """
    return mean_over(metrics, "country", ["language", "task"])


def overall_metrics(languages: pd.DataFrame) -> pd.DataFrame:
    """Return the overall row of the paper's table 3: mean of the *printed* (rounded) language rows, each language counted once.

    Args:
        languages: draws frame with levels ``metric, language, task, method`` in the printed units: percent for multiple
            choice, 0..10 for open-ended.
    """
    keys = languages.index.to_frame(index=False)
    digits = [PRINTED_DIGITS[task, metric] for task, metric in zip(keys["task"], keys["metric"], strict=True)]
    rounded = [round_half_up(row, places) for row, places in zip(languages.to_numpy(), digits, strict=True)]
    printed = pd.DataFrame(np.array(rounded).reshape(languages.shape), index=languages.index, columns=languages.columns)
    return mean_over(printed, "language", ["task"])


def _rca(loc: Floats, non: Floats) -> Floats:
    """Return RCA of scores that are known to be right; NaN stays NaN."""
    total = loc + non
    return np.divide(2 * loc * non, total, out=np.zeros_like(total), where=total != 0)


def _pnlg(loc: Floats, non: Floats, alpha: float = 1.0) -> Floats:
    """Return PNLG of scores that are known to be right; NaN stays NaN."""
    mean = (loc + non) / 2
    return np.divide(loc - non, mean**alpha, out=np.zeros_like(mean), where=mean != 0)


def _pair(localized: ArrayLike, nonlocalized: ArrayLike, most: float = _MOST) -> tuple[Floats, Floats]:
    loc, non = _scores("localized", localized, most), _scores("nonlocalized", nonlocalized, most)
    if loc.shape != non.shape and loc.ndim and non.ndim:
        raise YapoError(f"localized has shape {loc.shape} and nonlocalized {non.shape}; give one score of each per pair")
    loc, non = np.broadcast_arrays(loc, non)
    return loc, non


def _scores(name: str, values: Any, most: float) -> Floats:
    try:
        scores = np.asarray(values)
        if scores.dtype.kind not in "biuf" and scores.size and not isinstance(values, pd.Series | pd.DataFrame):
            raise TypeError(f"of type {scores.dtype}")
        scores = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last of a tensor that needs a gradient
        reason = str(error).partition("\n")[0]
        raise YapoError(f"{name} scores are no array of numbers ({reason}); give numbers, equally many in every row") from None
    wrong = scores[~(np.isfinite(scores) & (scores >= 0) & (scores <= most))]
    if wrong.size:
        raise YapoError(
            f"{name} scores hold {wrong.flat[0]:g}; each must be a number from 0 to {most:g}; leave out what has no score"
        )
    return scores
