"""Report of the study ``gap``: numbers, table, figure and finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import VALUE, change_cell, failed, number, number_cell, score_digits
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.means import failure_rate, highest_scores, printed_scores
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "gap"
FORMS = ("localized", "nonlocalized")
KEYS = ["task", "way", "country"]


def main(config: Config) -> None:
    """Write ``tables/gap.*``, ``figures/gap.*`` and ``studies/gap.json``."""
    options = table_options(config)
    cells = gap_cells(read_rows(config, NAME), options)
    values = {"scope": style.scope(cells), "panels": [finding_values(part) for _, part in panels(cells)]}
    write_report(config, NAME, FINDING, values, {NAME: gap_table(cells, options)}, {NAME: gap_figure(cells, options.note)})


def gap_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the score of each form of the questions, and the gap between the two.

    Args:
        rows: of the stage ``gap``, of all countries.
        options: resamples, confidence and seed.

    Returns:
        ``task, way, country, measure`` (``localized``, ``nonlocalized`` and ``gap``, the first less the second), ``value, low,
        high``, ``n`` (of both forms for the gap); of a form also ``parse_failure_rate``, ``chance`` (of a guess; missing
        where there is none) and ``at_chance``: whether the interval reaches down to it.
    """
    scored = rows.assign(score=printed_scores(rows), chance=100.0 * rows["chance"])
    draws = resampled_means(scored, [*KEYS, "variant"], resamples=options.resamples, seed=options.seed)
    facts = scored.groupby([*KEYS, "variant"])["question_id"].nunique().reindex(draws.index)
    found = intervals(draws, options.confidence, facts=facts, span=(0.0, highest_scores(draws)))
    counts = scored.groupby([*KEYS, "variant"]).agg(
        n=("score", "count"), chance=("chance", "mean"), parse_failure_rate=("parsed", failure_rate)
    )
    forms = found.join(counts).rename_axis([*KEYS, "measure"]).reset_index()
    keyed = draws.reset_index("variant")
    one, other = (keyed[keyed["variant"] == form].drop(columns="variant") for form in FORMS)
    apart = one - other.reindex(one.index)
    apart = apart[apart[0].notna()]
    paired, most = facts.groupby(KEYS).min().reindex(apart.index), highest_scores(apart)
    gaps = intervals(apart, options.confidence, facts=paired, span=(-most, most)).assign(measure="gap").reset_index()
    gaps = gaps.merge(forms.groupby(KEYS, sort=False)["n"].sum().reset_index(), on=KEYS)
    cells = pd.concat([forms, gaps], ignore_index=True)
    return cells.assign(at_chance=cells["low"] <= cells["chance"])


def panels(cells: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the cells of each task and way to answer, with a heading."""
    found = []
    for task in ordered("task", cells["task"]):
        of_task = cells[cells["task"] == task]
        for way, part in of_task.groupby("way", sort=False):
            found.append((f"{label('task', task)}; {way}" if of_task["way"].nunique() > 1 else label("task", task), part))
    return found


def gap_table(cells: pd.DataFrame, options: TableOptions) -> Table:
    """Return the table: a row for each country, a group for each task and way to answer."""
    groups = []
    for heading, part in panels(cells):
        digits, lines = score_digits(part["task"].iloc[0]), []
        for country in ordered("country", part["country"]):
            at = {record["measure"]: record for record in records(part[part["country"] == country])}
            chance = at[next(iter(at))]["chance"]
            guess = None if pd.isna(chance) else Cell(number(chance, digits))
            forms = [_form_cell(at.get(form), digits) for form in FORMS]
            gap, n = change_cell(at.get("gap"), digits, VALUE), sum(at[form]["n"] for form in FORMS if form in at)
            lines.append(TableRow((label("country", country),), (*forms, gap, guess, Cell(f"{n:,}"))))
        groups.append(Group(heading, tuple(lines)))
    sheet = Sheet(
        name=NAME,
        title="The localization gap before steering",
        caption=f"The unsteered model on training and validation questions: {options.scores(cells['task'])}.",
        notes=(
            'Gap: localized less non-localized questions. Chance: the score of a guess; "at chance" where the interval reaches '
            "down to it.",
            f"Brackets: {options.brackets()}.",
        ),
        heads=("Country",),
        columns=("Localized", "Non-localized", "Gap", "Chance", "n"),
        groups=tuple(groups),
    )
    return make_table(sheet, cells, options.note)


@rc_context(style.STYLE)
def gap_figure(cells: pd.DataFrame, note: str) -> Figure:
    """Return both forms' scores by country, a panel for each task and way to answer, with the score of a guess."""
    shown, tones = panels(cells), {"localized": style.colour("prompt"), "nonlocalized": style.colour("baseline")}
    most = max(part["country"].nunique() for _, part in shown)
    figure = style.new_figure(3.6 * len(shown) + 0.8, 0.42 * most + 1.9)
    for axes, (heading, part) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        countries = ordered("country", part["country"])
        for line, country in enumerate(countries):
            for place, form in enumerate(FORMS):
                for record in records(part[(part["country"] == country) & (part["measure"] == form)]):
                    at = line + 0.24 * (place - 0.5)
                    if not pd.isna(record["low"]):
                        axes.plot([record["low"], record["high"]], [at, at], color=tones[form], linewidth=1.2)
                    axes.plot(record["value"], at, "o", color=tones[form], markersize=5)
        if part["chance"].notna().any():
            axes.axvline(part["chance"].mean(), color="black", linestyle=":", linewidth=1.0)
        style.name_lines(axes, [label("country", country) for country in countries])
        axes.set_title(heading.replace("; ", "\n"))
        axes.set_xlabel(style.score_name(part["task"].iloc[0]).capitalize())
    handles = [style.handle(label("variant", form), color=tones[form], marker="o") for form in FORMS]
    if cells["chance"].notna().any():
        handles.append(style.handle("Guess", color="black", linestyle=":"))
    style.legend_below(figure, handles)
    style.frame_texts(figure, "The localization gap before steering", note)
    return figure


def finding_values(part: pd.DataFrame) -> dict[str, Any]:
    """Return what ``finding.md.j2`` prints of one task and way to answer."""
    by_measure = {measure: rows for measure, rows in part.groupby("measure", sort=False)}
    gaps = by_measure.get("gap", part.iloc[:0])
    return {
        "task": part["task"].iloc[0],
        "way": part["way"].iloc[0],
        "countries": part["country"].nunique(),
        "means": [(form, float(by_measure[form]["value"].mean())) for form in FORMS if form in by_measure],
        "open": ordered("country", gaps.loc[gaps["low"] > 0, "country"]),
        "at_chance": [
            (form, ordered("country", by_measure[form].loc[by_measure[form]["at_chance"], "country"]))
            for form in FORMS
            if form in by_measure
        ],
    }


def _form_cell(record: dict[str, Any] | None, digits: int) -> Cell | None:
    if record is None:
        return None
    guess = " (at chance)" if record["at_chance"] else ""
    return number_cell(record, digits, more=guess, failures=failed(record["parse_failure_rate"]))


if __name__ == "__main__":
    run(main)
