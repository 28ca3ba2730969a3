"""Report of the study ``side_effects``: a table of what is lost, a figure of gain against damage, and the finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import number, number_cell, percent, plural
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.knowledge.report import ABOUT, title
from yapo.studies.side_effects.cells import DAMAGE, ENTANGLEMENT, GAINED, LINE, LOST, SideEffects, side_effects
from yapo.studies.side_effects.run import ANSWERED, INSTRUCTIONS, NAME, ORDER, TEXT
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "knowledge.vector_task", "knowledge.vector_setting")
FINDING = Path(__file__).with_name("finding.md.j2")
TITLES = {
    ORDER: "Same choice with the options reversed",
    INSTRUCTIONS: "Same choice under other instructions",
    ANSWERED: "Harmless questions answered",
    TEXT: "Perplexity of plain text",
}


def main(config: Config) -> None:
    """Write ``tables/side_effects.*``, ``figures/side_effects.*`` and ``studies/side_effects.json``."""
    rows, options = read_rows(config, NAME, NAME), table_options(config)
    found = side_effects(rows, read_rows(config, NAME, "knowledge"), options)
    task, setting = config.knowledge.vector_task, config.knowledge.vector_setting
    vector = f"vectors: {label('task', task).lower()}, {label('setting', setting).lower()}"
    countries = rows["country"].nunique()
    values = {"vector": vector, "countries": countries, "confidence": options.confidence, **finding_values(found)}
    tables = {NAME: side_effects_table(found, vector, countries, options)}
    figures = {NAME: side_effects_figure(found, vector, options.note)}
    write_report(config, NAME, FINDING, values, tables, figures)


def measure_title(record: dict[str, Any]) -> str:
    """Return the name of a side measure, with the countries that it is about."""
    name = TITLES.get(record["measure"]) or title(record["measure"], record["metric"])
    return f"Culture, {name.lower()}: {ABOUT[record['about']]}" if record["about"] else name


def side_effects_table(found: SideEffects, vector: str, countries: int, options: TableOptions) -> Table:
    """Return the table: what each side measure loses by each method, then all of them together.

    Args:
        found: see ``side_effects``.
        vector: which vectors steered, in words.
        countries: how many are steered towards.
        options: see ``TableOptions``.
    """
    methods = ordered("method", found.methods["method"])
    measures, together = found.measures, {record["method"]: record for record in records(found.methods)}
    rows = []
    for _, part in measures.groupby(LINE, sort=False):
        at = {record["method"]: record for record in records(part)}
        before = at["baseline"]
        name = measure_title(before) + ("" if before["counted"] else " (not counted)")
        lost = [number_cell(at.get(method), 1, names=LOST) for method in methods]
        counts = Cell(f"{before['n']:,} ({before['n_questions']:,} items)")
        rows.append(TableRow((name,), (Cell(_unsteered(before)), *lost, counts)))
    sums = [
        TableRow((head,), (None, *(_sum(together[method], names, digits, sign=names == GAINED) for method in methods), None))
        for head, names, digits in (
            ("Damage (%)", DAMAGE, 1),
            ("Gain (points)", GAINED, 1),
            ("Entanglement (damage / gain)", ENTANGLEMENT, 2),
        )
    ]
    sheet = Sheet(
        name=NAME,
        title="Side effects",
        caption=f"What steering costs elsewhere ({vector}), mean over {plural(countries, 'steered country')}.",
        notes=_notes(measures, options),
        heads=("Side measure",),
        columns=("Unsteered", *(label("method", method) for method in methods), "n"),
        groups=(Group("Lost by steering (% of the unsteered score)", tuple(rows)), Group("Together", tuple(sums))),
    )
    return make_table(sheet, pd.concat([measures, found.methods], ignore_index=True), options.note)


def _unsteered(record: dict[str, Any]) -> str:
    return f"{record['value']:,.1f}" if record["measure"] == TEXT else percent(record["value"], 1)


def _sum(record: dict[str, Any], names: tuple[str, str, str], digits: int, *, sign: bool) -> Cell | None:
    return None if pd.isna(record[names[0]]) else number_cell(record, digits, names=names, sign=sign)


def _notes(measures: pd.DataFrame, options: TableOptions) -> tuple[str, ...]:
    notes = [
        "Lost: 1 − score under steering / score of the unsteered model; below 0 the score rises. Of plain text the score is "
        "1 / perplexity.",
        "Damage: mean over the side measures, each counted once. Gain: on the test questions that the vectors are for, of a "
        "range of 100 points. Entanglement: percent of damage for each point of gain; a dash where the interval of the gain does "
        "not lie above 0.",
        f"Brackets: {options.brackets('facts and questions')}, the same ones for all measures; a loss of 0 with bounds of 0: no "
        "answer changed its worth.",
        "Random: a random direction that moves the residual stream as far as the strongest of the vectors.",
    ]
    left_out = measures[~measures["counted"] & (measures["method"] == "baseline")]
    if len(left_out):
        names = ", ".join(measure_title(record) for record in records(left_out))
        notes.append(f"Not counted, since the unsteered model is no better than a guess: {names}.")
    return tuple(notes)


@rc_context(style.STYLE)
def side_effects_figure(found: SideEffects, vector: str, note: str) -> Figure:
    """Draw damage over gain, a mark with both intervals for each method; the unsteered model is where the lines of 0 meet."""
    figure = style.new_figure(5.6, 4.2)
    axes = figure.subplots()
    for draw in (axes.axhline, axes.axvline):
        draw(0, color=style.colour("baseline"), linewidth=0.9, linestyle=":", zorder=0)
    for record in records(found.methods):
        tone = style.colour(record["method"])
        (x, *across), (y, *along) = ([record[name] for name in names] for names in (GAINED, DAMAGE))
        axes.plot(across, [y, y], color=tone, alpha=0.5)
        axes.plot([x, x], along, color=tone, alpha=0.5)
        axes.plot([x], [y], color=tone, marker=style.marker(record["method"]), markersize=6, linestyle="")
    axes.set_xlabel("Gain on test questions (points of 100)")
    axes.set_ylabel("Damage (% of side measures lost)")
    style.legend_below(
        figure, [style.method_handle(m, linestyle="") for m in ordered("method", found.methods["method"])], width=1.1
    )
    style.frame_texts(figure, "Gain and damage", f"{vector[:1].upper()}{vector[1:]}. Right and low is better.", note)
    return figure


def finding_values(found: SideEffects) -> dict[str, Any]:
    """Return what ``finding.md.j2`` prints of measures and methods."""
    measures, methods = found.measures, records(found.methods)
    counted = measures[measures["counted"] & (measures["method"] != "baseline")]
    worst = counted.loc[counted.groupby("method", sort=False)["lost"].idxmax()]
    left_out = measures[~measures["counted"] & (measures["method"] == "baseline")]
    return {
        "measures": len(counted[LINE].drop_duplicates()),
        "methods": methods,
        "entangled": [record for record in methods if not pd.isna(record[ENTANGLEMENT[0]])],
        "without_gain": [label("method", record["method"]) for record in methods if pd.isna(record[ENTANGLEMENT[0]])],
        "worst": [
            (record["method"], measure_title(record), number(record["lost"], 1))
            for record in records(worst)
            if record["lost"] > 0
        ],
        "left_out": [measure_title(record) for record in records(left_out)],
        "names": {"gain": GAINED, "damage": DAMAGE, "entanglement": ENTANGLEMENT},
    }


if __name__ == "__main__":
    run(main)
