"""Means over countries with intervals and paired changes: the numbers that the tables of several studies share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from yapo.evaluation.bootstrap import differences, intervals, resampled_means
from yapo.evaluation.metrics import mean_over
from yapo.reporting.cells import TOP, UNIT, records
from yapo.reporting.numbers import CHANGE
from yapo.reporting.tables import TableOptions

Records = dict[tuple[Any, ...], dict[str, Any]]


def by_key(frame: pd.DataFrame, keys: Sequence[str]) -> Records:
    """Return the rows of a frame as dictionaries, by the values of some columns."""
    return {tuple(record[name] for name in keys): record for record in records(frame)}


def printed_scores(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the scores of rows with a ``task`` as tables print them: multiple choice in percent."""
    return rows["score"] * rows["task"].map(UNIT).astype(float)  # of no rows it would be text


def failure_rate(parsed: pd.Series[bool]) -> float:
    """Return the share of answers that could not be parsed."""
    return 1.0 - float(parsed.astype(float).mean())


def country_means(rows: pd.DataFrame, keys: Sequence[str], options: TableOptions, within: Sequence[str] = ()) -> pd.DataFrame:
    """Return draws of the mean score over countries, each counted once, by ``keys``.

    A mean is left out where a country lacks it that others of the same ``within`` have (``metrics.mean_over``).

    Args:
        rows: one row per scored item, with ``keys``, ``country``, ``question_id`` and ``score``.
        keys: columns that name a mean.
        options: resamples and seed; every mean draws the same facts.
        within: those of ``keys`` that say where a full set of countries is expected.
    """
    draws = resampled_means(rows, [*keys, "country"], resamples=options.resamples, seed=options.seed)
    return mean_over(draws, "country", list(within))


def highest_scores(draws: pd.DataFrame) -> pd.Series[float]:
    """Return the highest printed score of each row of a draws frame with the level ``task``."""
    return pd.Series(draws.index.get_level_values("task").map(TOP), draws.index, dtype=float)


def with_changes(
    draws: pd.DataFrame,
    base: pd.MultiIndex,
    options: TableOptions,
    *,
    facts: pd.Series[int],
    top: ArrayLike,
    names: tuple[str, str, str] = CHANGE,
) -> pd.DataFrame:
    """Return ``value, low, high`` of each row of a draws frame, and its paired difference from another row as ``names``.

    Args:
        draws: draws frame.
        base: for each row the row that it is compared with.
        options: confidence.
        facts: number of facts behind each row.
        top: highest value of what a row is the mean of, one number or one a row; NaN where it has no end.
        names: columns of the difference and its interval.
    """
    found = intervals(draws, options.confidence, facts=facts.reindex(draws.index), span=(0.0, top))
    apart = differences(draws, draws.reindex(base), found, found.reindex(base), options.confidence)
    return pd.concat([found, apart.set_axis(list(names), axis=1)], axis=1)
