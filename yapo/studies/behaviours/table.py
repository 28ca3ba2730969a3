"""Behaviours steered both ways: the numbers and the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.evaluation.judges.behaviour import scale_of
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import failed, number_cell, percent
from yapo.reporting.render import DAGGER, MINUS, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.studies.behaviours.refusal import refuses
from yapo.studies.means import by_key

NAME = "behaviours"
REFUSALS = 0.5  # least share of refusals among the rejected answers of a behaviour whose refusals are counted
_MEASURES = {"score": "Score", "refused": "Refusals (%)"}
_DIRECTIONS = {1: "at +λ", -1: f"at {MINUS}λ", 0: "range"}


def behaviour_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return tidy numbers: behaviour, measure, method, direction, value, low, high, n, n_questions, parse_failure_rate.

    ``direction`` is 1 at +λ, -1 at -λ and 0 for the first less the second; the unsteered model has one value, at 0.

    Args:
        rows: test answers with the columns of the stage ``behaviour_evaluate``.
        options: see ``TableOptions``.
    """
    frames = []
    for behaviour, own in rows.groupby("behaviour", sort=True):
        refusals = _has_refusals(own)
        for measure in ("score", "refused") if refusals else ("score",):
            scored = own.assign(score=own["score"] if measure == "score" else 100.0 * own["refused"])
            draws = resampled_means(scored, ["method", "direction"], resamples=options.resamples, seed=options.seed)
            steered = [method for method in dict.fromkeys(scored["method"]) if method != "baseline"]
            ranges = pd.concat({(m, 0): draws.loc[(m, 1)] - draws.loc[(m, -1)] for m in steered}, axis=1).T
            ranges.index.names = draws.index.names
            counts = scored.groupby(["method", "direction"]).agg(
                n=("score", "count"), n_questions=("question_id", "nunique"), parsed=("parsed", "mean")
            )
            both = pd.concat([draws, ranges])
            facts = counts["n_questions"].reindex(both.index)  # none for the differences, at 0
            ends = both.index.get_level_values("method") == "baseline"
            facts = facts.where(ends | (both.index.get_level_values("direction") != 0))
            table = intervals(both, options.confidence, facts=facts, span=(0.0, 100.0))
            table = table.join(counts.rename(columns={"parsed": "parse_failure_rate"}))
            table["parse_failure_rate"] = 1.0 - table["parse_failure_rate"] if measure == "score" else 0.0
            frames.append(table.reset_index().assign(behaviour=behaviour, measure=measure))
    first = ["behaviour", "measure", "method", "direction"]
    cells = pd.concat(frames, ignore_index=True)
    return cells[[*first, *(name for name in cells.columns if name not in first)]]


def behaviours_table(cells: pd.DataFrame, options: TableOptions, made: str) -> Table:
    """Return one group per behaviour: the score at both signs and their difference, and refusals where they are what matters.

    ``made``: the models and settings of this study, said under the table.
    """
    methods = ordered("method", cells["method"])
    groups = []
    for behaviour, own in cells.groupby("behaviour", sort=True):
        found = by_key(own, ["measure", "direction", "method"])
        rows = []
        for measure, direction in [(m, d) for m in own["measure"].unique() for d in (1, -1, 0)]:
            line = [_cell(found.get((measure, _place(direction, m), m)), measure, direction) for m in methods]
            rows.append(TableRow((_MEASURES[measure], _DIRECTIONS[direction]), tuple(line), aggregate=direction == 0))
        scale = scale_of(str(behaviour))
        groups.append(Group(f"{scale.title} ({scale.direction})", tuple(rows)))
    unscored = cells["parse_failure_rate"].max()
    sheet = Sheet(
        name=NAME,
        title="Behaviours, steered both ways",
        caption=(
            "Mean grade of test answers from 1 (the behaviour is absent) to 4 (fully there), under each vector at its chosen "
            f"strength λ with d = +1 and with d = {MINUS}1; scorer: {options.scorer}. "
            "A high score is more of the behaviour, not a better answer."
        ),
        notes=(
            f"Range: the value at +λ less the value at {MINUS}λ; what a vector can do in either direction. "
            "Epoch and λ have the widest range on validation.",
            "Random: a random direction that moves the residual stream as far as the strongest vector. Its range shows what "
            "disturbing the model does.",
            "Refusals: answers that open like a refusal, where refusing is what not showing the behaviour means; "
            "100 less refusals is the attack success rate.",
            f"Brackets: {options.brackets('questions')}. Questions of a cell: {_sizes(cells)}.",
            f"{DAGGER} Up to {percent(unscored, 1)} of answers have no score." if unscored > 0 else "Unscored answers: none.",
            f"Made with: {made}",
        ),
        heads=("Measure", "Steered"),
        columns=tuple("Unsteered" if method == "baseline" else label("method", method) for method in methods),
        groups=tuple(groups),
    )
    return make_table(sheet, cells, options.note)


def _has_refusals(rows: pd.DataFrame) -> bool:
    answers: Sequence[str] = rows.drop_duplicates("question_id")["rejected"].tolist()
    return sum(map(refuses, answers)) >= REFUSALS * len(answers)


def _place(direction: int, method: str) -> int:
    """Return the direction of a method's cell in a line: the unsteered model has one value, in the lines of both signs."""
    return direction if method != "baseline" else (0 if direction else 2)


def _cell(cell: dict[str, Any] | None, measure: str, direction: int) -> Cell | None:
    if cell is None:
        return None
    failures = failed(cell["parse_failure_rate"], "unscored")
    return number_cell(cell, 2 if measure == "score" else 0, sign=direction == 0, failures=failures)


def _sizes(cells: pd.DataFrame) -> str:
    sizes = cells[cells["method"] == "baseline"].drop_duplicates("behaviour")
    return ", ".join(f"{scale_of(name).title} {n:.0f}" for name, n in zip(sizes["behaviour"], sizes["n_questions"], strict=True))
