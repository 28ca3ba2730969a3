"""The paper's table 3 from accuracies of one's own: a flat data frame in, a flat data frame out."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
import pandas as pd

from yapo.checks import TASKS, Task, is_finite
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.evaluation.metrics import KEYS, country_metrics, language_metrics, overall_metrics

NEEDED = ("language", "country", "method", "localized", "nonlocalized")
_SCORES = ("localized", "nonlocalized")
_TOP: dict[Task, float] = {"mcq": 100.0, "open_ended": 10.0}


def metrics_table(scores: pd.DataFrame, top: float | None = None) -> pd.DataFrame:
    """Return RCA and PNLG by language, and overall, as the paper's table 3 does.

    Examples:
        >>> import pandas as pd
        >>> import yapo
        >>> row = {"language": "arabic", "country": "egypt", "method": "mine", "localized": 80.0, "nonlocalized": 40.0}
        >>> yapo.metrics_table(pd.DataFrame([row]))[["language", "rca"]].round(1).to_dict("records")
        [{'language': 'arabic', 'rca': 53.3}, {'language': 'Overall', 'rca': 53.3}]

    A language is the mean over its countries of the country's RCA and PNLG; the row ``Overall`` is the mean of the printed
    (rounded) language rows, each language counted once.

    Args:
        scores: one row per country and method (and task), with the columns ``language``, ``country``, ``method``, ``localized``
            and ``nonlocalized``; ``task`` (``mcq`` or ``open_ended``) may be left out and is then ``mcq``.
        top: the highest possible score: 100 for percents, 1 for shares, 10 for grades. Left out, ``mcq`` is in percent and
            ``open_ended`` in 0..10.

    Returns:
        Columns ``task``, ``language``, ``method``, ``rca``, ``pnlg``; RCA in percent for ``mcq`` and in 0..10 for
        ``open_ended``, both unrounded except for what ``Overall`` is a mean of.

    Raises:
        YapoError: a column is missing, a row stands there twice, a method lacks a country, or a score cannot be.
    """
    rows = _checked(scores, top)
    long = pd.concat([rows.assign(setting=name, score=rows[name]) for name in _SCORES])
    draws = long.set_index(KEYS)[["score"]].set_axis([0], axis=1)
    languages = language_metrics(country_metrics(draws))
    overall = pd.concat({"Overall": overall_metrics(languages)}, names=["language"]).reorder_levels(
        [*map(str, languages.index.names)]
    )
    made = pd.concat([languages, overall])[0].unstack("metric").reset_index()
    order = {name: rank for rank, name in enumerate([*dict.fromkeys(rows["language"]), "Overall"])}
    methods = {name: rank for rank, name in enumerate(dict.fromkeys(rows["method"]))}
    made = made.assign(_language=made["language"].map(order), _method=made["method"].map(methods))
    made = made.sort_values(["task", "_language", "_method"], ignore_index=True)
    return made[["task", "language", "method", "rca", "pnlg"]].rename_axis(columns=None)


def _checked(scores: pd.DataFrame, top: float | None) -> pd.DataFrame:
    """Return the rows in printed units: percent for multiple choice, 0..10 for open-ended."""
    if not isinstance(scores, pd.DataFrame):
        raise YapoError(f"scores is a {type(scores).__name__}; give a pandas data frame with the columns {', '.join(NEEDED)}")
    missing = [name for name in NEEDED if name not in scores.columns]
    if missing:
        raise YapoError(f"scores lack the column {missing[0]!r}; they need {', '.join(NEEDED)}")
    if scores.columns.has_duplicates:
        raise YapoError(f"scores have two columns {shown(scores.columns[scores.columns.duplicated()][0])}; leave one of them out")
    if scores.empty:
        raise YapoError("scores have no rows; give one row per country and method")
    if top is not None and not (isinstance(top, Real) and is_finite(top) and top > 0):
        raise YapoError(
            f"top={shown(top, bare=True)}: give the highest possible score: 100 for percents, 1 for shares, 10 for grades"
        )
    rows = scores.reset_index(drop=True)
    rows = rows if "task" in rows else rows.assign(task="mcq")
    for name in ("task", "language", "country", "method"):
        empty = rows[name].isna() | rows[name].map(lambda cell: not shown(cell, bare=True).strip()).astype(bool)
        unnamed = empty | ~rows[name].map(pd.api.types.is_scalar).astype(bool)
        if unnamed.any():
            row = int(unnamed.argmax())
            raise YapoError(f"scores, row {row}: {name} is {'empty' if empty[row] else shown(rows[name][row])}; name it")
    strange = rows[~rows["task"].isin(TASKS)]
    if len(strange):
        task = shown(strange["task"].iloc[0], bare=True)
        raise YapoError(f"scores, row {strange.index[0]}: task={task}; it must be one of {', '.join(TASKS)}")
    clash = rows[rows["language"] == "Overall"]
    if len(clash):
        raise YapoError(
            f"scores, row {clash.index[0]}: language=Overall is the name of the last row; give the rows it is made of"
        )
    key = ["task", "language", "country", "method"]
    twice = rows[rows.duplicated(key)]
    if len(twice):
        raise YapoError(f"scores, row {twice.index[0]}: {_told(twice.iloc[0], key)} stands there twice; give one row each")
    for _, part in rows.groupby("task", sort=False):
        wanted = part[["language", "country"]].drop_duplicates().merge(part[["method"]].drop_duplicates(), how="cross")
        found = wanted.merge(part, on=["language", "country", "method"], how="left", indicator=True)
        lacking = found[found["_merge"] == "left_only"]
        if len(lacking):
            method, country = (_told(lacking.iloc[0], [key]) for key in ("method", "country"))
            raise YapoError(f"scores: {method} lacks {country}; give every method every country, or leave one of them out")
    return rows.assign(**{name: _printed(rows, name, top) for name in _SCORES})


def _printed(rows: pd.DataFrame, name: str, top: float | None) -> pd.Series:
    printed = rows["task"].map(_TOP)
    most = printed if top is None else pd.Series(float(top), rows.index)
    numbers = rows[name].map(_as_float).astype(float)
    wrong = rows[~np.isfinite(numbers) | (numbers < 0) | (numbers > most)]
    if len(wrong):
        row, value = wrong.index[0], shown(wrong[name].tolist()[0], bare=True)
        raise YapoError(f"scores, row {row}: {name}={value}; give a number from 0 to {most[row]:g}, or set top")
    if (
        top is None
        and len(numbers)
        and (numbers[rows["task"] == "mcq"] <= 1).all()
        and (numbers[rows["task"] == "mcq"] > 0).any()
    ):
        raise YapoError(f"scores: {name} is at most {numbers.max():g}, as shares are; percents are read; give top=1 for shares")
    return numbers * printed / most


def _as_float(value: object) -> float:
    """Return a cell as a number, also where it is text; NaN where it is none, or beyond floats."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _told(row: pd.Series, key: list[str]) -> str:
    return ", ".join(f"{name}={shown(row[name], bare=True)}" for name in key)
