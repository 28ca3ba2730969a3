"""Report of the study ``between_models``: numbers, table, figure and finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.evaluation.bootstrap import differences
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import CHANGE, bounds, change_cell, counts_cell, number, number_cell, score_digits, short
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.means import country_means, highest_scores, printed_scores, with_changes
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.between_models.setting")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "between_models"
KEYS = ["task", "method", "map"]
MAPS = {"own": "own vector", "ridge": "ridge", "procrustes": "Procrustes", "features": "matched features", "random": "random map"}
BEYOND = bounds("beyond")  # gain less that of the random map


def main(config: Config) -> None:
    """Write ``tables/between_models.*``, ``figures/between_models.*`` and ``studies/between_models.json``."""
    rows, options = read_rows(config, NAME), table_options(config)
    cells = map_cells(rows, options)
    setting = label("setting", config.studies.between_models.setting)
    tables = {NAME: between_models_table(cells, setting, options)}
    figures = {NAME: between_models_figure(cells, setting, options.note)}
    values = {"setting": setting, "countries": rows["country"].nunique(), "maps": MAPS, "tasks": finding_values(cells)}
    write_report(config, NAME, FINDING, values, tables, figures)


def map_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the score of every vector by every map, mean over countries.

    Args:
        rows: of the stage ``between_models``, of all countries.
        options: resamples, confidence and seed.

    Returns:
        ``KEYS``; ``value, low, high``; ``change`` from the unsteered model and what of it is ``beyond`` the random map's change,
        each with its interval; ``n``, ``n_facts``; over countries the median ``multiplier``, the mean ``cosine, fit, kept``.
        Scores of multiple choice are in percent. The unsteered model's map is "none".
    """
    scored = rows.assign(score=printed_scores(rows))
    draws = country_means(scored, KEYS, options, within=["task"])
    index = draws.index.to_frame(index=False)
    unsteered, random = (
        pd.MultiIndex.from_frame(index.assign(**other)) for other in ({"method": "baseline", "map": "none"}, {"map": "random"})
    )
    grouped = scored.groupby(KEYS, sort=False)
    counts = grouped.agg(n=("score", "count"), n_facts=("question_id", "nunique"))
    told = scored.drop_duplicates([*KEYS, "country"]).groupby(KEYS, sort=False)
    counts = counts.join(told.agg({"multiplier": "median", "cosine": "mean", "fit": "mean", "kept": "mean"}))
    found = with_changes(draws, unsteered, options, facts=counts["n_facts"], top=highest_scores(draws))
    beyond = differences(draws, draws.reindex(random), found, found.reindex(random), options.confidence)
    return pd.concat([found, beyond.set_axis(list(BEYOND), axis=1)], axis=1).join(counts).reset_index()


def between_models_table(cells: pd.DataFrame, setting: str, options: TableOptions) -> Table:
    """Return the table: a group for each task, a row for each method and map.

    Args:
        cells: from ``map_cells``.
        setting: name of the questions' setting.
        options: see ``TableOptions``.
    """
    groups = []
    for task in ordered("task", cells["task"]):
        digits, lines = score_digits(task), list[TableRow]()
        for record in _lines(cells[cells["task"] == task]):
            steered, name = record["map"] in MAPS, record["map"]
            cells_of_line = (
                number_cell(record, digits),
                change_cell(record, digits) if steered else None,
                change_cell(record, digits, BEYOND) if steered and name != "random" else None,
                Cell(short(record["multiplier"])) if steered else None,
                Cell(number(record["cosine"])) if steered and name != "own" else None,
                counts_cell(record),
            )
            lines.append(TableRow((label("method", record["method"]), MAPS.get(name, "")), cells_of_line))
        groups.append(Group(label("task", task), tuple(lines)))
    sheet = Sheet(
        name=NAME,
        title="Transfer between models",
        caption=(
            f"{setting} test questions under vectors of another model, carried over by maps learned on the training questions "
            f"and answers of the country: {options.scores(cells['task'])}, mean over countries."
        ),
        notes=(
            "Gain: over the unsteered model. Beyond random: gain less that of the other model's vector by a random rotation. Own "
            "vector: trained on this model. λ: chosen on this model's validation questions for every vector, those by the random "
            "map too; median over countries. A carried vector at λ = 1 is as long as the own one as chosen.",
            "Maps of states carry the mean change that a vector makes; matched features carry the entries of a sparse vector, "
            "and have no line where a country's vector has no feature with a match. " + _fits(cells),
            "Cosine: of the mean changes that the carried and the own vector make to this model's states.",
            f"Brackets: {options.brackets()}.",
        ),
        heads=("Method", "Vector"),
        columns=("Score", "Gain", "Beyond random", "λ", "Cosine with own", "n"),
        groups=tuple(groups),
    )
    return make_table(sheet, cells, options.note)


def _lines(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return records in the order of the table: the unsteered model, then each method by every map."""
    places = {method: place for place, method in enumerate(ordered("method", cells["method"]))}
    maps = {"none": -1, **{name: place for place, name in enumerate(MAPS)}}
    return sorted(records(cells), key=lambda record: (places[record["method"]], maps[record["map"]]))


def _fits(cells: pd.DataFrame) -> str:
    """Return how well the maps fit, in the mean over countries: a map is the same for every method and task."""
    fits, kept = cells.groupby("map")["fit"].first(), cells[cells["map"] == "features"].groupby("method")["kept"].mean()
    told = f"Variance of validation states explained: ridge {fits['ridge']:.2f}, Procrustes {fits['procrustes']:.2f}."
    if "features" in fits:
        of_methods = ", ".join(f"{label('method', method)} {kept[method]:.0%}" for method in ordered("method", kept.index))
        told += f" Mean correlation of matched features {fits['features']:.2f}; share of a vector's length in them: {of_methods}."
    return told


@rc_context(style.STYLE)
def between_models_figure(cells: pd.DataFrame, setting: str, note: str = "") -> Figure:
    """Return the gain of every method's vectors by every map, a panel for each task.

    Args:
        cells: from ``map_cells``.
        setting: name of the questions' setting.
        note: sentence printed under the figure.
    """
    tasks = ordered("task", cells["task"])
    names = list(dict.fromkeys((record["method"], record["map"]) for record in _lines(cells) if record["map"] in MAPS))
    figure = style.new_figure(4.2 * len(tasks) + 1.6, 0.21 * len(names) + 1.7)
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0], tasks, strict=True):
        axes.axvline(0, color=style.colour("baseline"), linewidth=0.9, linestyle=":", zorder=0)
        for record in _lines(cells[cells["task"] == task]):
            if (place := (record["method"], record["map"])) in names:
                face = style.colour(record["method"]) if record["map"] == "own" else "white"
                style.interval_dot(axes, record, names.index(place), record["method"], names=CHANGE, markerfacecolor=face)
        style.name_lines(axes, [f"{label('method', method)}: {MAPS[name]}" for method, name in names])
        axes.set_title(label("task", task))
        axes.set_xlabel("Gain (points)" if task == "mcq" else "Gain (score 0 to 10)")
    how = "Filled: the model's own vector; empty: another model's. Lines: bootstrap intervals over facts."
    style.frame_texts(figure, f"Vectors of another model, {setting.lower()} questions", how, note)
    return figure


def finding_values(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what ``finding.md.j2`` prints of each task."""
    found = []
    for task in ordered("task", cells["task"]):
        lines = [record for record in _lines(cells[cells["task"] == task]) if record["map"] in MAPS]
        methods = {record["method"]: [one for one in lines if one["method"] == record["method"]] for record in lines}
        numbers = {"n": max(record["n"] for record in lines), "n_facts": max(record["n_facts"] for record in lines)}
        found.append({"name": task, "digits": score_digits(task), "methods": list(methods.items()), **numbers})
    return found


if __name__ == "__main__":
    run(main)
