"""Report of the study ``opinions``: numbers, table, figure and finding."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import CHANGE, change_cell, mean_over_countries, number_cell
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.means import country_means, with_changes
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.opinions.task", "studies.opinions.setting")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "opinions"
EVERY = ""  # the country of a mean over all
DIGITS = 3


def main(config: Config) -> None:
    """Write ``tables/opinions.*``, ``figures/opinions.*`` and ``studies/opinions.json``."""
    rows, options, settings = read_rows(config, NAME), table_options(config), config.studies.opinions
    cells = opinion_cells(rows, options)
    vector = f"{label('task', settings.task).lower()}, {label('setting', settings.setting).lower()}"
    overall = records(cells[cells["country"] == EVERY])
    values = {
        "vector": vector,
        "countries": rows["country"].nunique(),
        "questions": rows["question_id"].nunique(),
        "before": next(record for record in overall if record["method"] == "baseline"),
        "after": [record for record in overall if record["method"] != "baseline"],
    }
    tables, figures = {NAME: opinion_table(cells, vector, options)}, {NAME: opinion_figure(cells, options.note)}
    write_report(config, NAME, FINDING, values, tables, figures)


def opinion_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the similarity of each country and method, and the mean over countries, with changes from the unsteered model.

    Args:
        rows: of the stage ``opinions``, of all countries.
        options: resamples of the questions, confidence and seed.

    Returns:
        ``country`` (empty: the mean), ``method``, ``value, low, high`` (0 to 1), ``change`` with its interval (empty for the
        baseline), ``n`` answers and ``n_facts`` questions.
    """
    frames = []
    scopes = [*({EVERY: rows} if rows["country"].nunique() > 1 else {}).items(), *rows.groupby("country", sort=False)]
    for country, part in scopes:
        draws = country_means(part.assign(scope=country), ["scope", "method"], options)
        base = pd.MultiIndex.from_frame(draws.index.to_frame(index=False).assign(method="baseline"))
        grouped = part.assign(scope=country).groupby(["scope", "method"])
        counts = grouped.agg(n=("score", "count"), n_facts=("question_id", "nunique"))
        found = with_changes(draws, base, options, facts=counts["n_facts"], top=1.0).join(counts)
        frames.append(found.reset_index().rename(columns={"scope": "country"}))
    cells = pd.concat(frames, ignore_index=True)
    if rows["country"].nunique() == 1:
        cells = pd.concat([cells.assign(country=EVERY), cells], ignore_index=True)
    cells.loc[cells["method"] == "baseline", list(CHANGE)] = float("nan")
    return cells


def opinion_table(cells: pd.DataFrame, vector: str, options: TableOptions) -> Table:
    """Return the table: a group for the mean and for each country, a row for each method."""
    countries = ordered("country", set(cells["country"]) - {EVERY})
    groups = [_group(cells, EVERY, mean_over_countries(len(countries)).capitalize())] if len(countries) > 1 else []
    groups += [_group(cells, country, label("country", country)) for country in countries]
    sheet = Sheet(
        name=NAME,
        title="Opinions",
        caption=f"How alike the model's answers to survey questions and a country's are (vectors: {vector}).",
        notes=(
            "Similarity: 1 less the Jensen-Shannon distance (square root of the divergence in bits) between the model's "
            "probabilities of the options and the shares of the country's answers, mean over questions.",
            "Change: from the unsteered model, question by question. Prompt: the question asks how someone from the country "
            "would answer. Random: a random direction of the vectors' size.",
            f"Brackets: {options.brackets('questions')}.",
        ),
        heads=("Method",),
        columns=("Similarity", "Change", "n"),
        groups=tuple(groups),
    )
    return make_table(sheet, cells, options.note)


def _group(cells: pd.DataFrame, country: str, heading: str) -> Group:
    part = {record["method"]: record for record in records(cells[cells["country"] == country])}
    lines = []
    for method in ordered("method", part):
        change = None if method == "baseline" else change_cell(part[method], DIGITS)
        counts = Cell(f"{part[method]['n']:,} ({part[method]['n_facts']:,} questions)")
        lines.append(TableRow((label("method", method),), (number_cell(part[method], DIGITS), change, counts)))
    return Group(heading, tuple(lines))


@rc_context(style.STYLE)
def opinion_figure(cells: pd.DataFrame, note: str) -> Figure:
    """Return the change of the similarity by country, a dot with its interval for each method."""
    changed = cells[(cells["method"] != "baseline") & (cells["country"] != EVERY)]
    countries, methods = ordered("country", changed["country"]), ordered("method", changed["method"])
    figure = style.new_figure(6.4, 0.16 * len(countries) * (len(methods) + 1) + 1.9)
    axes = figure.subplots()
    for record in records(in_order(changed, ["country", "method"])):
        line, place = countries.index(record["country"]), methods.index(record["method"])
        style.interval_dot(axes, record, line + 0.8 * ((place + 0.5) / len(methods) - 0.5), record["method"], names=CHANGE)
    axes.axvline(0, color="black", linestyle=":", linewidth=1.0)
    style.name_lines(axes, [label("country", country) for country in countries])
    axes.set_xlabel("Change of the similarity to the country's answers")
    style.legend_below(figure, [style.method_handle(method) for method in methods])
    style.frame_texts(figure, "Opinions before and after steering", note)
    return figure


if __name__ == "__main__":
    run(main)
