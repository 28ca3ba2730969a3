"""Report of the study ``equal_kl``: the main tables at equal divergence, what it took, the first figure and the finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.checks import Task
from yapo.config import Config
from yapo.dag.scope import studied
from yapo.data.sources import known_countries
from yapo.evaluation.own_answers import QUESTIONS
from yapo.reporting.cells import records
from yapo.reporting.main_tables import Results, method_tables
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import change_cell, nats, number, plural, score_digits, short
from yapo.reporting.render import DASH, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.costs.report import cost_cells
from yapo.studies.equal_kl import VIEWS, view_suffix
from yapo.studies.equal_kl.cells import GAIN, UNSTEERED, first_setting, gain_cells, rows_at
from yapo.studies.equal_kl.figure import overview
from yapo.studies.equal_kl.run import CHOSEN
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "generation.mcq", "generation.likelihood", "studies.equal_kl.levels")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "equal_kl"
_AT_LEVEL = "equal divergence"
_BOUND_NOTE = (
    "λ on validation is chosen under selection.max_kl. Given up: the validation score of the choice without that bound, "
    "less that of the choice, mean over countries."
)


def main(config: Config) -> None:
    """Write ``tables/equal_kl.*``, the main tables at each level, ``figures/overview.*`` and ``studies/equal_kl.json``."""
    rows, multipliers = read_rows(config, NAME, NAME), read_rows(config, NAME, f"{NAME}_multipliers")
    options, levels = table_options(config), config.studies.equal_kl.levels
    data = gain_cells(rows, multipliers, options)
    way = config.generation.label(config.generation.mcq[0])
    tables = {NAME: equal_kl_table(data, levels, options)}
    for level in levels:
        tables |= views(rows_at(rows, level), level, way, options)
    values = {"levels": levels, "countries": rows["country"].nunique(), "tasks": finding_values(data, levels)}
    counted = studied(config, known_countries(config.data), config.studies.costs.countries)
    costs = cost_cells(read_rows(config, "costs")) if counted else None
    write_report(config, NAME, FINDING, values, tables, {"overview": overview(data, levels[0], costs, options.note)})


def views(rows: pd.DataFrame, level: float, way: str, options: TableOptions) -> dict[str, Table]:
    """Return the main tables of the test rows of one level, by their names."""
    told = f"λ is such that the 95th percentile of KL(steered ‖ unsteered) over tokens of validation answers is {nats(level)}."
    note = f"At {_AT_LEVEL}: {told} A dash: no λ reaches it in every country. {options.note}".rstrip()
    suffix = view_suffix(level)
    options = replace(options, note=note, view=f"at a divergence of {nats(level)}", suffix=suffix)
    made = method_tables([Results.of(way, rows, options)], options)
    return {table.name: table for table in made if table.name.removesuffix(suffix) in VIEWS}


def equal_kl_table(data: pd.DataFrame, levels: list[float], options: TableOptions) -> Table:
    """Return the table: a row for each setting and method, its λ, divergence and gain at validation's choice and at each level.

    Args:
        data: from ``gain_cells``.
        levels: in the order of the columns.
        options: see ``TableOptions``.
    """
    groups, bounded = [], "given_up" in data
    for task in ordered("task", data["task"]):
        lines = []
        for setting in ordered("setting", data["setting"]):
            here = data[(data["task"] == task) & (data["setting"] == setting)]
            for method in [name for name in ordered("method", here["method"]) if name != "baseline"]:
                at = {record["level"]: record for record in records(here[here["method"] == method])}
                heads = (label("setting", setting), label("method", method))
                lines.append(TableRow(heads, _line(at, levels, task, bounded=bounded)))
        groups.append(Group(label("task", task), tuple(lines)))
    columns = ["λ on validation", "KL there (nats)", *(["Validation score given up"] if bounded else []), "Gain there"]
    for level in levels:
        columns += [f"λ at {nats(level)}", f"Gain at {nats(level)}"]
    sheet = Sheet(
        name=NAME,
        title="All methods at equal disturbance",
        caption=f"Gain on test questions over the unsteered model, mean over countries: {options.scores(data['task'])}.",
        notes=(
            "KL: 95th percentile of KL(steered ‖ unsteered) of the next token, in nats, at every token of the unsteered model's "
            f"answers to up to {QUESTIONS} validation questions of each country and setting. λ and KL: median over countries, "
            "and the lowest and highest; of the random direction λ is in units of the residual stream's norm.",
            *([_BOUND_NOTE] if bounded else []),
            *_search_notes(data),
            f"Other brackets: {options.brackets()}.",
        ),
        heads=("Setting", "Method"),
        columns=tuple(columns),
        groups=tuple(groups),
    )
    return make_table(sheet, data, options.note)


def _line(at: dict[float, dict[str, Any]], levels: list[float], task: Task, *, bounded: bool) -> tuple[Cell | None, ...]:
    digits, chosen = score_digits(task), at.get(CHOSEN)
    cells = [_range(chosen, "multiplier"), _range(chosen, "divergence")]
    if bounded:
        cells.append(None if chosen is None or pd.isna(chosen["given_up"]) else Cell(number(chosen["given_up"], digits)))
    cells.append(_gain(chosen, digits))
    for level in levels:
        cells += [_range(at.get(level), "multiplier"), _gain(at.get(level), digits)]
    return tuple(cells)


def _gain(record: dict[str, Any] | None, digits: int) -> Cell | None:
    return None if record is None or pd.isna(record["value"]) else change_cell(record, digits, GAIN)


def _range(record: dict[str, Any] | None, name: str) -> Cell | None:
    """Return the median over countries with both ends; how many vectors have a value, where some have none."""
    if record is None or pd.isna(record["vectors"]):
        return None
    few = "" if record["reached"] == record["vectors"] else f" ({record['reached']:.0f} of {record['vectors']:.0f})"
    if pd.isna(record[name]):
        return Cell(DASH + few)
    median, *ends = (_three(record[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return Cell(median + few, f"[{ends[0]}, {ends[1]}]" if record["vectors"] > 1 else "")


def _three(value: float) -> str:
    """Return a number with three digits, or 0.0000."""
    return short(float(f"{value:.3g}")) if abs(value) >= 1e-4 else number(value, 4)


def _search_notes(data: pd.DataFrame) -> list[str]:
    """Return what must be said of vectors that reach a level nowhere, or more than once."""
    notes = []
    searched = data[data["level"] != CHOSEN]
    missed = int((searched["vectors"] - searched["reached"]).sum())
    if missed:
        names = ordered("method", searched.loc[searched["reached"] < searched["vectors"], "method"])
        told = ", ".join(label("method", name) for name in names)
        notes.append(
            f"{plural(missed, 'vector')} of {told} reach a level at no λ that was tried; k of n: how many do. A method has a "
            "gain only where every country's vector reaches the level."
        )
    falling = int(searched["falling"].sum())
    if falling:
        notes.append(f"Of {plural(falling, 'vector')} the divergence falls somewhere as λ grows: the lowest λ found is taken.")
    return notes


def finding_values(data: pd.DataFrame, levels: list[float]) -> list[dict[str, Any]]:
    """Return what ``finding.md.j2`` prints of each task, in the setting of the figure."""
    setting = first_setting(data)
    found = []
    for task in ordered("task", data["task"]):
        part = data[(data["task"] == task) & (data["setting"] == setting)]
        steered = part[~part["method"].isin(UNSTEERED)]
        chosen = steered[steered["level"] == CHOSEN]
        measured = chosen[chosen["divergence"].notna()]
        found.append(
            {
                "name": task,
                "setting": setting,
                "digits": score_digits(task),
                "n": int(part["n"].max()),
                "chosen": records(chosen),
                "divergences": [(record["method"], number(record["divergence"], 3)) for record in records(measured)],
                "levels": [(level, records(steered[(steered["level"] == level) & steered["value"].notna()])) for level in levels],
                "missed": [
                    label("method", record["method"])
                    for record in records(steered[steered["level"] == levels[0]])
                    if record["reached"] < record["vectors"]
                ],
            }
        )
    return found


if __name__ == "__main__":
    run(main)
