"""The numbers of every table as tidy frames: one row per cell, with interval, counts and difference from the baseline.

The functions that end in ``_draws`` take and give draws frames (see ``yapo.evaluation.metrics``) and work on the paper's
printed numbers as well as on resampled test scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from yapo.checks import SETTINGS, VARIANTS, Task
from yapo.errors import YapoError
from yapo.evaluation import metrics
from yapo.evaluation.bootstrap import alike, baseline_rows, differences, intervals, resampled_means
from yapo.evaluation.metrics import KEYS, Floats
from yapo.reporting.names import in_order

COLUMNS = ("value", "low", "high", "n", "n_facts", "parse_failure_rate", "delta_vs_baseline", "delta_low", "delta_high")
TOP: dict[Task, float] = {"mcq": 100.0, "open_ended": 10.0}  # the highest printed score
UNIT: dict[Task, float] = {"mcq": 100.0, "open_ended": 1.0}  # a score of 1 as printed
_METRICS = {"rca": metrics.rca, "pnlg": metrics.pnlg}
_ORDER = ("metric", "task", "setting", "language", "country", "method")
_NEEDED = (*KEYS, "variant", "question_id", "phrasing", "score", "parsed")


def printed_units(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return test rows with multiple-choice scores in percent and open-ended scores in 0..10.

    Raises:
        YapoError: a column is missing or holds what cannot be, or there are no rows.
    """
    missing = [name for name in _NEEDED if name not in evaluation.columns]
    if missing:
        raise YapoError(f"evaluation rows lack the column {missing[0]!r}; run the evaluate stage again")
    if evaluation.empty:
        raise YapoError("evaluation has no rows; run the evaluate stage for at least one country first")
    rows = evaluation[list(_NEEDED)].copy()
    rows["score"] = _printed(rows, evaluation)
    return rows


def _printed(rows: pd.DataFrame, evaluation: pd.DataFrame) -> pd.Series:
    """Return scores in printed units, after a check of every column that a table is made from."""
    for name in (*KEYS, "variant", "question_id"):
        if rows[name].isna().any():
            raise YapoError(
                f"evaluation rows: {name} is missing in row {int(rows[name].isna().argmax())}; run the evaluate stage again"
            )
    for name, known in (("task", TOP), ("setting", SETTINGS), ("variant", VARIANTS)):
        strange = rows.loc[~rows[name].isin(list(known)), name]
        if len(strange):
            raise YapoError(f"evaluation rows: {name}={strange.iloc[0]}; it must be one of {', '.join(known)}")
    try:
        scores = evaluation["score"].astype("float64")
        rows["parsed"].astype("bool")
    except (TypeError, ValueError) as error:
        raise YapoError(
            f"evaluation rows: score or parsed holds what is no number ({error}); run the evaluate stage again"
        ) from None
    most = rows["task"].map({"mcq": 1.0, "open_ended": TOP["open_ended"]})
    outside = scores[(scores < 0) | (scores > most)]
    if len(outside):
        task = rows.loc[outside.index[0], "task"] if rows.index.is_unique else "some task"
        raise YapoError(f"evaluation rows: score={outside.iloc[0]:g} of {task}; it must lie in 0..1 (mcq) or 0..10 (open_ended)")
    key = [*KEYS, "variant", "question_id", "phrasing"]
    twice = rows[rows.duplicated(key)]
    if len(twice):
        told = ", ".join(f"{name}={twice.iloc[0][name]}" for name in key)
        raise YapoError(f"evaluation rows: {told} stands there twice; give each answer once")
    return scores * rows["task"].map(UNIT)


def instance_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return RCA and PNLG (eq. 5 and 6) of every pair of prompts: the localized and nonlocalized form of one phrasing.

    Returns:
        Columns ``metric, language, country, task, method, question_id, phrasing, score``; a pair with an unscored side is
        left out.
    """
    keys = [*(name for name in KEYS if name != "setting"), "question_id", "phrasing"]
    sides = rows.dropna(subset="score").groupby([*keys, "setting"], sort=False)["score"].mean().unstack("setting")
    pairs = sides.reindex(columns=["localized", "nonlocalized"]).dropna()
    values = {name: function(pairs["localized"], pairs["nonlocalized"]) for name, function in _METRICS.items()}
    frames = [pairs.reset_index()[keys].assign(metric=name, score=score) for name, score in values.items()]
    return pd.concat(frames, ignore_index=True)


def instance_draws(rows: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the draws frame of instance-wise RCA and PNLG by metric, language, country, task and method; may be empty."""
    keys = ["metric", *(name for name in KEYS if name != "setting")]
    pairs = instance_pairs(rows)
    if pairs.empty:
        return pd.DataFrame(columns=range(1 + resamples), index=pd.MultiIndex.from_frame(pairs[keys]), dtype="float64")
    return resampled_means(pairs, keys, resamples=resamples, seed=seed)


def score_draws(scores: pd.DataFrame) -> pd.DataFrame:
    """Return country rows and language averages of the paper's tables 1 and 2."""
    return pd.concat([scores, _named(metrics.mean_over(scores, "country", ["language", "task"]), country="Average")])


def language_draws(country: pd.DataFrame) -> pd.DataFrame:
    """Return language rows and the Overall row of the paper's table 3, from country metrics."""
    languages = metrics.language_metrics(country)
    return pd.concat([languages, _named(metrics.overall_metrics(languages), language="Overall")])


def country_draws(country: pd.DataFrame) -> pd.DataFrame:
    """Return country rows of the paper's table 5, where open-ended RCA is printed as percent of 10."""
    open_rca = (country.index.get_level_values("task") == "open_ended") & (country.index.get_level_values("metric") == "rca")
    return country.mul(pd.Series(open_rca, index=country.index).map({True: 10.0, False: 1.0}), axis=0)


def summary_draws(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over all countries, each counted once, per task, setting and method."""
    keys = scores.index.to_frame(index=False)
    keys["country"] = keys.pop("language") + "/" + keys["country"]  # one country may appear under two languages
    return metrics.mean_over(scores.set_axis(pd.MultiIndex.from_frame(keys)), "country", ["task"])


def corners(scores: pd.DataFrame, rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return scores at the ends of their intervals where all facts are alike, at their value elsewhere.

    Returns:
        A frame like the draws frame ``scores`` (by ``KEYS``) with four columns: every pairing of ends of a localized and a
        non-localized score. RCA and PNLG of these columns are the ends of their own intervals.
    """
    found = intervals(scores, confidence, facts=_facts(scores, rows), span=_span(scores))
    ends = np.where(alike(scores)[:, None], found[["low", "high"]], found[["value", "value"]])
    localized = (scores.index.get_level_values("setting") == "localized")[:, None]
    return pd.DataFrame(np.where(localized, ends[:, [0, 0, 1, 1]], ends[:, [0, 1, 0, 1]]), scores.index)


def _span(draws: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the lowest and highest score of each row, in printed units; PNLG of a pair lies between -2 and 2."""
    keys = draws.index.to_frame(index=False)
    least: Floats = np.zeros(len(keys), dtype=np.float64)
    most: Floats = np.array([TOP[task] for task in keys["task"]], dtype=np.float64)
    if "metric" not in keys:
        return least, most
    pnlg = (keys["metric"] == "pnlg").to_numpy()
    if "country" in keys:
        most[:] = 100.0  # open-ended is printed as percent of 10
    least[pnlg], most[pnlg] = -2.0, 2.0
    return least, most


def _facts(draws: pd.DataFrame, rows: pd.DataFrame) -> Floats:
    """Return the number of distinct facts behind each row of a draws frame."""
    keys = draws.index.to_frame(index=False)
    counts = _all_counts(rows, keys)
    shared = [name for name in counts.columns if name in keys.columns]
    return keys.merge(counts, on=shared, how="left", validate="many_to_one")["n_facts"].to_numpy(dtype=float)


def cells(draws: pd.DataFrame, rows: pd.DataFrame, confidence: float, ends: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return tidy cells of a draws frame.

    Args:
        draws: draws frame; its index levels become columns.
        rows: the test rows behind it, for the counts; rows of an aggregate cell are those of all its members.
        confidence: mass of the intervals.
        ends: for metrics that are no means over facts: a frame like ``draws`` made from ``corners``. Where all facts are alike,
            the lowest and the highest of its columns are the interval.

    Returns:
        The index levels, then ``COLUMNS``, in display order. ``n`` counts scored rows, ``n_facts`` distinct facts,
        ``parse_failure_rate`` (0..1) is over all rows. ``delta_*`` is the difference from the baseline with its own
        interval, from resamples that draw the same facts for both.
    """
    levels = [str(name) for name in draws.index.names]
    counted = [name for name in levels if name in KEYS]
    found = intervals(draws, confidence, facts=_facts(draws, rows), span=_span(draws))
    same = alike(draws)
    if ends is not None and same.any():
        reach = np.column_stack([found["value"], ends.reindex(draws.index)])[same]
        found.loc[same, ["low", "high"]] = np.column_stack([np.nanmin(reach, axis=1), np.nanmax(reach, axis=1)])
    delta = differences(draws, baseline_rows(draws), found, baseline_rows(found), confidence)
    delta.columns = pd.Index(["delta_vs_baseline", "delta_low", "delta_high"])
    frame = pd.concat([found, delta], axis=1).assign(alike=same).reset_index()
    counts = _all_counts(rows, frame)
    frame = frame.merge(counts, on=counted, how="left", validate="many_to_one")
    return in_order(frame[[*levels, *COLUMNS]], [name for name in _ORDER if name in levels])


def country_scores(rows: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the draws frame of mean scores by ``KEYS``."""
    return resampled_means(rows, KEYS, resamples=resamples, seed=seed)


def dataset_cells(items: pd.DataFrame) -> pd.DataFrame:
    """Return the number of items per country and variant.

    Returns:
        Columns ``language, country, localized, nonlocalized``, one row per country, in display order.
    """
    counts = items.groupby(["language", "country", "variant"]).size().unstack("variant", fill_value=0)
    counts = counts.reindex(columns=["localized", "nonlocalized"], fill_value=0)
    return in_order(counts.rename_axis(columns=None).reset_index(), ["language", "country"])


def dataset_totals(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the paper's table 7: countries, a subtotal per language, the total.

    Args:
        counts: columns ``language, country, localized, nonlocalized``.

    Returns:
        The same columns and ``total``; ``country`` is ``Subtotal`` or ``Total`` in the added rows.
    """
    variants = ["localized", "nonlocalized"]
    subtotal = counts.groupby("language", sort=False)[variants].sum().reset_index().assign(country="Subtotal")
    total = counts[variants].sum().to_frame().T.assign(language="Total", country="Total")
    frame = pd.concat([counts, subtotal, total], ignore_index=True)[["language", "country", *variants]]
    return in_order(frame.assign(total=frame["localized"] + frame["nonlocalized"]), ["language", "country"])


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _counts(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    failed = rows.assign(parse_failure_rate=1.0 - rows["parsed"].astype("float64"))
    return (
        failed.groupby(keys, sort=False)
        .agg(n=("score", "count"), n_facts=("question_id", "nunique"), parse_failure_rate=("parse_failure_rate", "mean"))
        .reset_index()
    )


def _all_counts(rows: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of the cells that ``keys`` name, those of rows that sum up others included."""
    kept = rows[rows["setting"].isin(["localized", "nonlocalized"])] if "setting" not in keys else rows
    counted = [name for name in keys if name in KEYS]
    counts = _counts(kept, counted)
    for level, name in (("country", "Average"), ("language", "Overall")):
        if level in counted and (keys[level] == name).any():
            others = [key for key in counted if key != level]
            counts = pd.concat([counts, _counts(kept, others).assign(**{level: name})])
    return counts


def _named(draws: pd.DataFrame, **level: str) -> pd.DataFrame:
    """Add one constant index level, placed as in the frames that it is joined to."""
    ((name, value),) = level.items()
    frame = pd.concat({value: draws}, names=[name])
    if name == "country":
        return frame.reorder_levels(KEYS)
    return frame.reorder_levels(["metric", "language", *(str(n) for n in draws.index.names if n not in ("metric", "language"))])
