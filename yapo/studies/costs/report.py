"""Report of the study ``costs``: a table of what is the same at every run, and one of measured seconds beside the logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.files import read_json, write_text
from yapo.paths import Paths
from yapo.reporting.cells import records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import number, percent, plural
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.costs import MEASURED, counted_setting
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "adapters.rows", "settings")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "costs"
SPENT = ("seconds", "cpu_seconds", "peak_memory_mb", "peak_gpu_memory_mb")
_SUMMED = ("seconds", "cpu_seconds")


def main(config: Config) -> None:
    """Write ``tables/costs.*`` and ``studies/costs.json``; and ``logs/costs.csv`` and ``.md``, which differ from run to run."""
    options, rows = table_options(config), read_rows(config, NAME)
    data, setting = cost_cells(rows), label("setting", counted_setting(config.settings)).lower()
    tables = {NAME: costs_table(data, setting, options)}
    values = {"setting": setting, "tasks": finding_values(data), "measured": MEASURED[-1]}
    write_report(config, NAME, FINDING, values, tables, {})
    paths = Paths.of(config)
    countries, fitted = countries_of(config, known_countries(config.data)), [*config.methods, *config.adapters.rows]
    measured = measured_table(spent_rows(paths, countries, fitted), options)
    for path in MEASURED:
        write_text(paths.root / path, measured.texts[Path(path).suffix[1:]])


def cost_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the costs of each task and method, mean over countries, with ``overhead``: an edit's share of a token's pass."""
    means = rows.groupby(["task", "method"], sort=False).mean(numeric_only=True).reset_index()
    countries = rows.groupby(["task", "method"])["country"].nunique().rename("countries").reset_index()
    found = means.merge(countries, on=["task", "method"])
    return in_order(found.assign(overhead=found["edit_flops"] / found["token_flops"]), ["task", "method"])


def costs_table(data: pd.DataFrame, setting: str, options: TableOptions) -> Table:
    """Return the table of what is the same at every run: a row for each task and method."""
    groups = []
    for task in ordered("task", data["task"]):
        lines = []
        for record in records(data[data["task"] == task]):
            cells = (
                Cell(number(record["pairs"], 0)),
                Cell(number(record["passes"], 0)),
                Cell(giga(record["prepare_flops"])),
                Cell(giga(record["fit_flops"])),
                Cell(percent(record["overhead"], 1)),
                Cell(f"{record['values']:,.0f}"),
                Cell(f"{record['file_bytes'] / 1000:,.1f}"),
            )
            lines.append(TableRow((label("method", record["method"]),), cells))
        groups.append(Group(label("task", task), tuple(lines)))
    countries = plural(int(data["countries"].max()), "country")
    sheet = Sheet(
        name=NAME,
        title="What each method costs",
        caption=f"One vector of {setting} questions: mean over {countries}. Floating-point operations as torch counts them.",
        notes=(
            "Preparation: the frozen model's pass over the training pairs, which methods share; as far up as the method needs. "
            "Fit: on top of it. A training is counted on a sample of its pairs and scaled to all pairs and epochs, without "
            "validation losses; sums, look-ups and decompositions are not counted, so that a mean difference has a fit of 0.",
            "Passes: how often the fit runs the model over each pair. Overhead: operations of the edit of a generated token, in "
            "percent of the unsteered model's pass over it.",
            "Values: numbers of the chosen vector other than 0. DSPA's are in the map beside it, which the file holds.",
            f"Seconds and memory are measured and never the same twice: {MEASURED[-1]}.",
        ),
        heads=("Method",),
        columns=("Pairs", "Passes", "Preparation (GFLOP)", "Fit (GFLOP)", "Overhead per token", "Values", "File (kB)"),
        groups=tuple(groups),
    )
    return make_table(sheet, data, options.note)


def giga(flops: float) -> str:
    """Return operations in units of 10⁹."""
    return number(flops / 1e9, 1 if flops < 1e12 else 0)


def spent_rows(paths: Paths, countries: Mapping[str, str], methods: list[str]) -> pd.DataFrame:
    """Return what each training measured of itself: ``country, method`` and ``SPENT``."""
    rows = []
    for country, language_folder in countries.items():
        for method in methods:
            path = paths.spent(language_folder, country, method)
            found = read_json(path)
            if not isinstance(found, dict) or set(SPENT) - found.keys():
                raise YapoError(f"{path}: does not say what a training took; delete it and run the stage train again")
            rows.append({"country": country, "method": method, **{name: found[name] for name in SPENT}})
    return pd.DataFrame(rows).astype({name: "float64" for name in SPENT})


def measured_table(spent: pd.DataFrame, options: TableOptions) -> Table:
    """Return the table of seconds and memory, by method: seconds summed over countries, memory at its highest."""
    how = {name: "sum" if name in _SUMMED else "max" for name in SPENT}
    data = in_order(spent.groupby("method", sort=False).agg(how).reset_index(), ["method"])
    data["countries"] = spent["country"].nunique()
    lines = [
        TableRow((label("method", record["method"]),), tuple(Cell(number(record[name], 1)) for name in SPENT))
        for record in records(data)
    ]
    sheet = Sheet(
        name="costs_measured",
        title="What each method took",
        caption=f"Fits of {plural(spent['country'].nunique(), 'country')}, all tasks and settings, as they measured themselves.",
        notes=("Memory is that of the whole job. These numbers differ from run to run and with what else the machine does.",),
        heads=("Method",),
        columns=("Seconds", "CPU seconds", "Peak memory (MB)", "Peak GPU memory (MB)"),
        groups=(Group("", tuple(lines)),),
    )
    return make_table(sheet, data, options.note)


def finding_values(data: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what ``finding.md.j2`` prints of each task."""
    return [
        {
            "name": task,
            "methods": [
                {**record, "fit": giga(record["fit_flops"]), "prepare": giga(record["prepare_flops"])}
                for record in records(data[data["task"] == task])
            ],
        }
        for task in ordered("task", data["task"])
    ]


if __name__ == "__main__":
    run(main)
