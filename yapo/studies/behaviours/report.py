"""Report of ``behaviours``: all behaviours at both signs of every vector, as table, figure and finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.data.behaviours import LANGUAGE
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.evaluation.judges.behaviour import scale_of
from yapo.evaluation.judges.label import behaviour_label
from yapo.evaluation.refusal import refuses
from yapo.paths import Paths
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import failed, number_cell, percent
from yapo.reporting.render import DAGGER, MINUS, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.provenance import training_runs
from yapo.stages.study_facts import autoencoder_name, learning_rates, model_name, schedule
from yapo.stages.table_options import table_options
from yapo.studies.behaviours import SelectBy
from yapo.studies.means import by_key
from yapo.studies.write_report import write_report

READS = ("report", "judge", "methods", "studies.behaviours.select_by")
NAME = "behaviours"
REFUSALS = 0.5  # least share of refusals among the rejected answers of a behaviour whose refusals are counted
_MEASURES = {"score": "Score", "preferred": "Preferred (%)", "refused": "Refusals (%)"}
_AXES = {"score": "grade: 1 absent to 4 fully there", "preferred": "preferred (%)"}
_CHOSEN_BY: dict[SelectBy, str] = {"grade": "the score", "preferred": "the preferred answers"}
_DIRECTIONS = {1: "at +λ", -1: f"at {MINUS}λ", 0: "range"}


def main(config: Config) -> None:
    """Write ``tables/behaviours.*``, ``figures/behaviours.*`` and the finding."""
    paths, options = Paths.of(config), replace(table_options(config), scorer=behaviour_label(config.judge))
    names = known_countries(config.data)
    rows = pd.concat([read_table(paths.evaluation(LANGUAGE, name)) for name in names], ignore_index=True)
    cells = behaviour_cells(rows, options)
    made = training_runs(paths, LANGUAGE, next(iter(names)), config.methods)  # of all behaviours alike
    trained_with = (
        f"model {model_name(made[0])}; autoencoder {autoencoder_name(made[0])}; layer {made[0].layer} (0-based); "
        f"{schedule(made)}; learning rates: {learning_rates(made)}."
    )
    tables = {NAME: behaviours_table(cells, options, trained_with, config.studies.behaviours.select_by)}
    figures = {NAME: behaviours_figure(cells, config.report.note)}
    values = {"parts": finding_parts(cells), "scorer": options.scorer, "made": trained_with}
    template = Path(__file__).with_name("finding.md.j2")
    write_report(config, NAME, template, values, tables, figures)


def finding_parts(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each behaviour and measure but refusals the range of every method, and the unsteered value."""
    parts = []
    for (behaviour, measure), found in cells[cells["measure"] != "refused"].groupby(["behaviour", "measure"], sort=False):
        (base,) = records(found[found["method"] == "baseline"])
        ranges = in_order(found[(found["direction"] == 0) & (found["method"] != "baseline")], ["method"])
        numbers = {"questions": int(base["n_questions"]), "unsteered": base["value"], "ranges": records(ranges)}
        parts.append({"title": scale_of(str(behaviour)).title, "measure": measure, **numbers})
    return parts


def behaviour_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return tidy numbers: behaviour, measure, method, direction, value, low, high, n, n_questions, parse_failure_rate.

    ``direction`` is 1 at +λ, -1 at -λ and 0 for the first less the second; the unsteered model has one value, at 0.

    Args:
        rows: test answers with the columns of the stage ``behaviour_evaluate``.
        options: see ``TableOptions``.
    """
    frames = []
    for behaviour, of_behaviour in rows.groupby("behaviour", sort=True):
        refusals = _has_refusals(of_behaviour)
        for measure in ("score", "preferred", "refused") if refusals else ("score", "preferred"):
            scored = of_behaviour.assign(score=of_behaviour[measure] * (1.0 if measure == "score" else 100.0))
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


def behaviours_table(cells: pd.DataFrame, options: TableOptions, made: str, select_by: SelectBy = "grade") -> Table:
    """Return one group per behaviour: the score at both signs and their difference, and refusals where they are what matters.

    Args:
        cells: see ``behaviour_cells``.
        options: see ``TableOptions``.
        made: the models and settings of this study, said under the table.
        select_by: what epoch and λ were chosen by.
    """
    methods = ordered("method", cells["method"])
    groups = []
    for behaviour, of_behaviour in cells.groupby("behaviour", sort=True):
        found = by_key(of_behaviour, ["measure", "direction", "method"])
        rows = []
        for measure, direction in [(m, d) for m in of_behaviour["measure"].unique() for d in (1, -1, 0)]:
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
            f"Epoch and λ have the widest range of {_CHOSEN_BY[select_by]} on validation.",
            "Random: a random direction that moves the residual stream as far as the strongest vector. Its range shows what "
            "disturbing the model does.",
            "Preferred: questions to which the model finds the answer that shows the behaviour likelier than the other, before "
            "either is written.",
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


def _cell(record: dict[str, Any] | None, measure: str, direction: int) -> Cell | None:
    if record is None:
        return None
    failures = failed(record["parse_failure_rate"], "unscored")
    return number_cell(record, 2 if measure == "score" else 0, sign=direction == 0, failures=failures)


def _sizes(cells: pd.DataFrame) -> str:
    sizes = cells[cells["method"] == "baseline"].drop_duplicates("behaviour")
    return ", ".join(f"{scale_of(name).title} {n:.0f}" for name, n in zip(sizes["behaviour"], sizes["n_questions"], strict=True))


@rc_context(style.STYLE)
def behaviours_figure(cells: pd.DataFrame, note: str = "") -> Figure:
    """Draw a column per behaviour: grade, and share of preferred answers, of each method from -λ over unsteered to +λ."""
    names = sorted(cells["behaviour"].unique())
    figure = style.new_figure(2.7 * len(names) + 0.4, 5.6)
    rows = figure.subplots(2, len(names), squeeze=False, sharey="row", sharex=True)
    for panels, measure, title, limits in zip(rows, _AXES, _AXES.values(), ((0.9, 4.1), (-3, 103)), strict=True):
        for axes, behaviour in zip(panels, names, strict=True):
            _draw_panel(axes, cells[(cells["measure"] == measure) & (cells["behaviour"] == behaviour)])
        panels[0].set_ylabel(title)
        panels[0].set_ylim(*limits)
    for axes, behaviour in zip(rows[0], names, strict=True):
        axes.set_title(scale_of(behaviour).title)
    methods = [m for m in ordered("method", cells["method"]) if m != "baseline"]
    style.legend_below(
        figure, [style.method_handle("baseline", marker="", label="Unsteered"), *(style.method_handle(m) for m in methods)]
    )
    style.frame_texts(figure, "Behaviours, steered both ways", "Test questions; bars and band: bootstrap intervals.", note)
    return figure


def _draw_panel(axes: Axes, cells: pd.DataFrame) -> None:
    """Draw one measure of one behaviour."""
    methods = [m for m in ordered("method", cells["method"]) if m != "baseline"]
    (base,) = records(cells[cells["method"] == "baseline"])
    axes.axhline(base["value"], color=style.colour("baseline"), linewidth=1.0)
    axes.axhspan(base["low"], base["high"], color=style.colour("baseline"), alpha=0.15, linewidth=0)
    for method, shift in zip(methods, np.linspace(-0.16, 0.16, len(methods)), strict=True):
        ends = cells[(cells["method"] == method) & (cells["direction"] != 0)].sort_values("direction")
        spread = [ends["value"] - ends["low"], ends["high"] - ends["value"]]
        places = np.array([-1.0, 1.0]) + shift
        axes.errorbar(places, ends["value"], spread, color=style.colour(method), marker=style.marker(method), linewidth=1.2)
    axes.set_xticks([-1, 1], [f"{MINUS}λ", "+λ"])
    axes.set_xlim(-1.5, 1.5)


if __name__ == "__main__":
    run(main)
