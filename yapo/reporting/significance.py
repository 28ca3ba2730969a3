"""The table ``significance``: paired differences by fact, tested, and corrected for the number of comparisons.

A test flips the signs of facts: if two methods are alike, a fact's difference might as well have come out the other way round,
all of its wordings and countries together. With d_f what fact f adds to the difference of the means over countries,

    T = Σ_f d_f,    p = share of sign flips s with |Σ_f s_f d_f| >= |T|    (of all, or of a sample with T in it),

and Holm's correction holds the chance of one false finding in the whole table at 1 - confidence, however the comparisons hang
together. ``tests/reporting/test_significance.py`` holds both equal to their definitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from yapo.checks import CONTROLS, SETTINGS, TASKS, one_of
from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.evaluation.metrics import Floats, mean_over
from yapo.reporting.cells import TOP, records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import VALUE, change_cell, number, score_digits
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table

NAME = "significance"
FLIPS = 100_000  # sign flips that are drawn where there are more, T itself among them
_ROUNDING = 1e-9  # share by which a sum may miss T and count as equal
Verdict = Literal["higher", "lower", "not shown", "alike"]
_ITEM = ["language", "country", "question_id", "variant", "phrasing"]
_PLACE = ["language", "country"]
_PAIR = ["task", "setting", "method", "compared_with"]
_COLUMNS = [*_PAIR, *VALUE, "n", "n_facts", "p", "p_holm", "verdict"]


def significance(rows: pd.DataFrame, options: TableOptions) -> Table:
    """Make the table: each method against the unsteered model, and against YaPO or else the first method.

    Args:
        rows: test rows in printed units, by the first way to answer multiple choice.
        options: resamples of the intervals; the confidence is that of the verdicts too.

    Returns:
        The table. Its numbers: ``value, low, high`` of the difference ``method`` less ``compared_with``, mean over countries in
        printed units; ``p``, ``p_holm`` and ``verdict``.
    """
    data = comparisons(rows, options)
    sheet = Sheet(
        name=NAME,
        title="Which differences are more than chance",
        caption=f"Paired differences on test questions, mean over countries: {options.scores(data['task'])}."
        if len(data)
        else "Paired differences on test questions.",
        notes=_notes(data, options),
        heads=("Compared with", "Method"),
        columns=("Difference", "p", "p, corrected", "Verdict", "n"),
        groups=_groups(data),
    )
    return make_table(sheet, data, options.note)


def comparisons(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return every comparison with its difference, interval, p, corrected p and verdict."""
    frames: list[dict[str, Any]] = []
    for pair, paired in _pairs(rows):
        draws = resampled_means(paired, _PLACE, resamples=options.resamples, seed=options.seed)
        draws = draws.groupby(lambda _: 0).mean() if len(draws) == 1 else _mean_of_countries(draws)
        top, facts = TOP[one_of("task", pair["task"], TASKS)], paired["question_id"].nunique()
        found = intervals(draws, options.confidence, facts=facts, span=(-top, top)).iloc[0]
        parts = contributions(paired)
        measured = {"n": len(paired), "n_facts": facts, "p": sign_flip_p(parts, options.seed), "alike": bool((parts == 0).all())}
        frames.append({**pair, **{name: float(found[name]) for name in VALUE}, **measured})
    if not frames:
        return pd.DataFrame(columns=_COLUMNS)
    data = pd.DataFrame(frames)
    data["p_holm"] = holm(data["p"])
    data["verdict"] = [_verdict(record["value"], record["p_holm"], record["alike"], options) for record in records(data)]
    return data[_COLUMNS]


def reference_method(methods: Sequence[str]) -> str | None:
    """Return the method that the others are compared with: YaPO, or else the first that is no control."""
    steered = [method for method in ordered("method", methods) if method not in CONTROLS]
    return "yapo" if "yapo" in steered else next(iter(steered), None)


def contributions(paired: pd.DataFrame) -> Floats:
    """Return what each fact adds to the mean over countries of the mean difference, ``[facts]``.

    Args:
        paired: ``language, country, question_id`` and the difference as ``score``; one row per item.
    """
    sizes = paired.groupby(_PLACE)["score"].transform("size")
    countries = len(paired[_PLACE].drop_duplicates())
    parts = (paired["score"] / sizes / countries).groupby(paired["question_id"], sort=True).sum()
    return parts.to_numpy(dtype=np.float64)


def sign_flip_p(parts: Floats, seed: int) -> float:
    """Return the two-sided p of a sum under flips of the signs of its parts, ``[facts]``.

    All flips are counted where there are no more than ``FLIPS``.
    """
    if not parts.any():
        return 1.0
    sums = np.abs(_signs(len(parts), seed) @ parts)
    reached = int((sums >= abs(parts.sum()) * (1 - _ROUNDING)).sum())
    return reached / len(sums)


@cache
def _signs(facts: int, seed: int) -> Floats:
    """Return sign flips ``[flips, facts]``, the first of them that which flips nothing."""
    if 2**facts <= FLIPS:
        flipped = (np.arange(2**facts)[:, None] >> np.arange(facts) & 1).astype(np.float64)
        return 1.0 - 2.0 * flipped
    drawn = np.random.default_rng(seed).integers(0, 2, size=(FLIPS - 1, facts), dtype=np.int8)
    return np.vstack([np.ones((1, facts)), 1.0 - 2.0 * drawn.astype(np.float64)])


def holm(p: ArrayLike) -> Floats:
    """Return p-values corrected by Holm's step-down rule, in the order given.

    The k-th smallest of m is multiplied by m - k + 1; none is below that of a smaller one, or above 1.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.minimum(1.0, (len(values) - np.arange(len(values))) * values[order])
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(steps)
    return corrected


def _pairs(rows: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Yield each comparison, and the difference of each item that both methods have a score for, as ``score``."""
    for task in ordered("task", rows["task"]):
        for setting in ordered("setting", rows["setting"]):
            part = rows[(rows["task"] == task) & (rows["setting"] == setting)]
            scores = part.pivot(index=_ITEM, columns="method", values="score")
            methods, named = ordered("method", scores.columns), reference_method(list(scores.columns))
            for other in [name for name in ("baseline", named) if name in methods]:
                for method in methods:
                    if method == other or (other == named and method == "baseline"):
                        continue
                    apart = (scores[method] - scores[other]).dropna().rename("score").reset_index()
                    if len(apart):
                        yield {"task": task, "setting": setting, "method": method, "compared_with": str(other)}, apart


def _mean_of_countries(draws: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over countries of a draws frame, as one row."""
    places = pd.MultiIndex.from_arrays([[0] * len(draws), ["/".join(map(str, place)) for place in draws.index]])
    return mean_over(draws.set_axis(places.set_names(["all", "country"])), "country", [])


def _verdict(value: float, p: float, alike: bool, options: TableOptions) -> Verdict:
    if alike:
        return "alike"
    if p > 1 - options.confidence:
        return "not shown"
    return "higher" if value > 0 else "lower"


def _groups(data: pd.DataFrame) -> tuple[Group, ...]:
    groups = []
    for (task, setting), part in data.groupby(["task", "setting"], sort=False):
        lines = []
        for record in records(part):
            shown = (
                _p(record["p"]),
                _p(record["p_holm"]),
                Cell(record["verdict"]),
                Cell(f"{record['n']:,} ({record['n_facts']} facts)"),
            )
            difference = change_cell(record, score_digits(one_of("task", task, TASKS)), VALUE)
            heads = (label("method", record["compared_with"]), label("method", record["method"]))
            lines.append(TableRow(heads, (difference, *shown)))
        name = one_of("setting", setting, SETTINGS)
        groups.append(Group(f"{label('task', str(task))}, {label('setting', name).lower()}", tuple(lines)))
    return tuple(groups)


def _p(value: float) -> Cell:
    return Cell("<0.001" if value < 0.001 else number(value, 3))


def _notes(data: pd.DataFrame, options: TableOptions) -> tuple[str, ...]:
    if data.empty:
        return ("No rows: there is nothing to compare.",)
    return (
        f"p: share of sign flips of facts that give a difference as large ({FLIPS:,} of them where there are more). "
        f"Corrected: by Holm's rule for all {len(data):,} comparisons of this table.",
        f"Verdict: higher or lower where the corrected p is at most {1 - options.confidence:.2g}; not shown is not the same as "
        "equal; alike where no answer differs in score.",
        f"Brackets: {options.brackets()}, not corrected.",
        "Items that one of the two has no score for are left out of the pair.",
    )
