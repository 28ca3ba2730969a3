"""Behaviours steered both ways: a table, a figure and what to read from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.evaluation.judges.behaviour import scale_of
from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import DAGGER, MINUS, Cell, Group, Row, Sheet
from yapo.reporting.style import STYLE, colour, frame_texts, legend_below, marker, method_handle, new_figure
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.studies.behaviours.refusal import refuses

NAME = "behaviours"
# Where at least this share of the answers that do not show the behaviour refuses, refusals are counted.
REFUSALS = 0.5
_MEASURES = {"score": "Score", "refused": "Refusals (%)"}
_DIRECTIONS = {1: "at +λ", -1: f"at {MINUS}λ", 0: "range"}


@dataclass(frozen=True)
class _Line:
    """One row of the table: a measure, at one sign or as the difference of the two."""

    measure: str
    direction: int


def behaviour_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Tidy numbers: behaviour, measure, method, direction, value, low, high, n, n_questions, parse_failure_rate.

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
    """One group per behaviour: the score at both signs and their difference, and refusals where they are what matters.

    ``made``: the models and settings of this study, said under the table.
    """
    methods = ordered("method", cells["method"])
    groups = []
    for behaviour, own in cells.groupby("behaviour", sort=True):
        found = {(c["measure"], c["direction"], c["method"]): c for c in records(own)}
        rows = []
        for line in [_Line(m, d) for m in own["measure"].unique() for d in (1, -1, 0)]:
            cell = [_cell(found.get((line.measure, _place(line, method), method)), line) for method in methods]
            rows.append(Row((_MEASURES[line.measure], _DIRECTIONS[line.direction]), tuple(cell), aggregate=line.direction == 0))
        scale = scale_of(str(behaviour))
        groups.append(Group(f"{scale.title} ({scale.direction})", tuple(rows)))
    failed = cells["parse_failure_rate"].max()
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
            f"Brackets: {100 * options.confidence:g}% bootstrap interval, {options.resamples:,} resamples of questions. "
            f"Questions of a cell: {_sizes(cells)}.",
            f"{DAGGER} Up to {100 * failed:.1f}% of answers have no score." if failed > 0 else "Unscored answers: none.",
            f"Made with: {made}",
            *([options.note] if options.note else []),
        ),
        heads=("Measure", "Steered"),
        columns=tuple("Unsteered" if method == "baseline" else label("method", method) for method in methods),
        groups=tuple(groups),
    )
    return make_table(sheet, cells)


@rc_context(STYLE)
def behaviours_figure(cells: pd.DataFrame, note: str = "") -> Figure:
    """One panel per behaviour: the score of each method from -λ over unsteered to +λ, with intervals."""
    scores = cells[cells["measure"] == "score"]
    names = sorted(scores["behaviour"].unique())
    figure = new_figure(2.7 * len(names) + 0.4, 3.4)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    methods = [m for m in ordered("method", scores["method"]) if m != "baseline"]
    shifts = np.linspace(-0.16, 0.16, len(methods))
    for axes, behaviour in zip(panels, names, strict=True):
        own = scores[scores["behaviour"] == behaviour].set_index(["method", "direction"])
        base = own.loc[("baseline", 0)]
        axes.axhline(base["value"], color=colour("baseline"), linewidth=1.0)
        axes.axhspan(base["low"], base["high"], color=colour("baseline"), alpha=0.15, linewidth=0)
        for method, shift in zip(methods, shifts, strict=True):
            ends = own.loc[[(method, -1), (method, 1)]]
            spread = [ends["value"] - ends["low"], ends["high"] - ends["value"]]
            places = np.array([-1.0, 1.0]) + shift
            axes.errorbar(places, ends["value"], spread, color=colour(method), marker=marker(method), linewidth=1.2)
        axes.set_xticks([-1, 1], [f"{MINUS}λ", "+λ"])
        axes.set_xlim(-1.5, 1.5)
        axes.set_title(scale_of(behaviour).title)
    panels[0].set_ylabel("grade: 1 absent to 4 fully there")
    panels[0].set_ylim(0.9, 4.1)
    legend_below(figure, [method_handle("baseline", marker="", label="Unsteered"), *(method_handle(m) for m in methods)])
    frame_texts(figure, "Behaviours, steered both ways", f"Test questions; bars and band: bootstrap intervals. {note}".strip())
    return figure


def behaviours_finding(cells: pd.DataFrame, scorer: str, made: str) -> Finding:
    """What the numbers say: for each behaviour, the widest range and whether it can be told from others, and what each sign does.

    Args:
        cells: see ``behaviour_cells``.
        scorer: what graded the answers.
        made: the models and settings of this study.
    """
    return Finding(
        name=NAME,
        title="Behaviours other than culture",
        question="Do the same methods turn behaviours other than culture up, and with the sign changed, down?",
        reading="\n".join(_reading(str(name), own) for name, own in cells[cells["measure"] == "score"].groupby("behaviour")),
        limits=(
            "The scale runs with the behaviour: a method with a wide range is a strong lever, not a safer model.",
            "The widest range is the largest of several on the same test questions, so that it is likely to be somewhat narrower "
            "on others. Two ranges are told apart where their intervals do not overlap.",
            f"Scorer: {scorer}.",
        ),
        made=made,
        tables=(NAME,),
        figures=(NAME,),
    )


def _reading(behaviour: str, cells: pd.DataFrame) -> str:
    found = {(cell["method"], cell["direction"]): cell for cell in records(cells)}
    ranges = {m: cell for (m, d), cell in found.items() if d == 0 and m != "baseline"}
    chance = ranges.pop("random")
    best, *others = sorted(ranges, key=lambda method: -ranges[method]["value"])
    base, up, down, own = found["baseline", 0], found[best, 1], found[best, -1], ranges[best]
    moved = [
        *(["+λ raises"] if up["low"] > base["high"] else []),
        *([f"{MINUS}λ lowers"] if down["high"] < base["low"] else []),
    ]
    says = f"{' and '.join(moved)} it beyond the unsteered interval" if moved else "neither sign leaves its interval"
    above = own["low"] > chance["high"]
    widest = "has the widest range" if above else "has the widest range of all methods, which cannot be told from chance"
    rival = ""
    if others:
        apart = "above" if own["low"] > ranges[others[0]]["high"] else "not to be told from"
        rival = f"; {apart} that of {label('method', others[0])}, {_ranged(ranges[others[0]])}"
    return (
        f"{scale_of(behaviour).title}: {label('method', best)} {widest}, {_ranged(own)} over {base['n_questions']:.0f} questions "
        f"(from {_number(down['value'])} to {_number(up['value'])}; unsteered {_number(base['value'])}); "
        f"{'above' if above else 'not above'} that of a random direction, {_ranged(chance)}{rival}; {says}."
    )


def _ranged(cell: dict[str, Any]) -> str:
    """A range with its interval, where it has one."""
    value, low, high = (_number(cell[name], 2, "+") for name in ("value", "low", "high"))
    return value if pd.isna(cell["low"]) else f"{value} [{low}, {high}]"


def _has_refusals(rows: pd.DataFrame) -> bool:
    answers: Sequence[str] = rows.drop_duplicates("question_id")["rejected"].tolist()
    return sum(map(refuses, answers)) >= REFUSALS * len(answers)


def _place(line: _Line, method: str) -> int:
    """The unsteered model has one value; it stands in the lines of both signs, and has no range."""
    return line.direction if method != "baseline" else (0 if line.direction else 2)


def _cell(cell: dict[str, Any] | None, line: _Line) -> Cell | None:
    if cell is None:
        return None
    digits = 2 if line.measure == "score" else 0
    sign = "+" if line.direction == 0 else "-"
    value, low, high = (_number(cell[name], digits, sign) for name in ("value", "low", "high"))
    failed = cell["parse_failure_rate"]
    return Cell(value, f"[{low}, {high}]", failures=f"{100 * failed:.1f}% unscored" if failed > 0 else "")


def _number(value: float, digits: int = 2, sign: str = "-") -> str:
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}".replace("-", MINUS)


def _sizes(cells: pd.DataFrame) -> str:
    sizes = cells[cells["method"] == "baseline"].drop_duplicates("behaviour")
    return ", ".join(f"{scale_of(name).title} {n:.0f}" for name, n in zip(sizes["behaviour"], sizes["n_questions"], strict=True))
