"""Report of ``dspa_study``: DSPA's studies over all their countries, as tables, figure and finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.evaluation.judges.label import chat_label
from yapo.names import EVERY
from yapo.reporting.cells import records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import number, score_digits
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.steering.method import read_options
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.steering.methods.dspa.variants import own_values
from yapo.studies.dspa_study.chat_table import CHAT, chat_cells, chat_table
from yapo.studies.dspa_study.figure import study_figure
from yapo.studies.dspa_study.table import BASELINE, NAME, OWN, PAIRS, STRENGTHS, skipped_sizes, study_cells, study_table, with_own
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "method", "studies.dspa_study.countries", "studies.dspa_study.pairs")
FLOPS = "dspa_study_flops"
QUANTITIES = {
    "three_passes": "Accounting, three passes (the paper)",
    "two_passes": "Accounting, the redundant prompt pass dropped",
    "one_pass": "Accounting, one pass: both answers share a prompt",
    "run": "As run",
    "linear": "weight matrices of the blocks up to the output layer",
    "padding": "of which on padding",
    "attention": "attention",
    "encoders": "autoencoders, on the tokens that count",
    "check": "autoencoders, to see that they fit the model",
    "displacement": "validation pairs, to say how far answers move",
    "measured": "As run, counted by torch",
}
PARTS = ("linear", "padding", "attention", "encoders", "check", "displacement")


def main(config: Config) -> None:
    """Write ``tables/dspa_study[_chat|_flops].*``, ``figures/dspa_study.*`` and the finding; ``method`` is dspa."""
    options = table_options(config)
    chat_options = replace(options, scorer=chat_label(config.judge))
    rows = read_rows(config, NAME, NAME)
    cells = study_cells(rows, options)
    available = round(cells.loc[cells["change"] == OWN, "pairs"].mean())
    cells = with_own(cells, own_values(read_options(DspaOptions, config.method.options), available))
    chat, flops = chat_cells(read_rows(config, NAME, "dspa_chat"), chat_options), read_rows(config, NAME, "dspa_flops")
    tables = {
        NAME: study_table(cells, options, skipped_sizes(rows, config.studies.dspa_study.pairs)),
        CHAT: chat_table(chat, chat_options),
        FLOPS: flops_table(flops, options),
    }
    values = {**finding_values(cells, chat, flops), "scorer": options.scorer, "chat_scorer": chat_options.scorer}
    figures = {NAME: study_figure(cells, options.note)}
    write_report(config, NAME, Path(__file__).with_name("finding.md.j2"), values, tables, figures)


def finding_values(cells: pd.DataFrame, chat: pd.DataFrame, flops: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of the finding.

    Args:
        cells: cells that ``with_own`` returned.
        chat: cells that ``chat_cells`` returned.
        flops: rows about costs, of all countries.
    """
    parts = []
    for task in ordered("task", cells["task"]):
        of_task = cells[cells["task"] == task]
        found = {
            (record["change"], record["strength"]): record for record in records(of_task[of_task["change"].isin([OWN, BASELINE])])
        }
        scores = [(text, found[OWN, strength], found[BASELINE, strength]) for strength, text in STRENGTHS.items()]
        other = of_task[(of_task["strength"] == "one") & ~of_task["change"].isin([BASELINE, OWN, PAIRS]) & ~of_task["is_own"]]
        better, worse = int((other["diff_low"] > 0).sum()), int((other["diff_high"] < 0).sum())
        counts = {"changed": len(other), "better": better, "worse": worse}
        parts.append({"task": task, "digits": score_digits(task), "scores": scores, **counts})
    over = in_order(chat[(chat["country"] == EVERY) & (chat["method"] != "baseline")], ["method"])
    grades = over[(over["kind"] == "grade") & (over["turn"] == 0) & over["diff"].notna()]
    pairs = over[(over["kind"] == "pair") & over["value"].notna()]
    total = flops.groupby("quantity")["flops"].sum()
    shares = {name: total[name] / total["three_passes"] for name in ("run", "two_passes", "one_pass")}
    return {"parts": parts, "grades": records(grades), "pairs": records(pairs), **shares}


def flops_table(rows: pd.DataFrame, options: TableOptions) -> Table:
    """Return the operations of fitting the map of each country, per pair, and against the paper's accounting; by task.

    Args:
        rows: rows of the stage ``dspa_study`` about costs, of all countries.
        options: for the note.
    """
    countries = ordered("country", rows["country"])
    groups = []
    for task in ordered("task", rows["task"]):
        of_task = rows[rows["task"] == task]
        by_country = of_task.set_index(["quantity", "country"])["flops"]
        whole = of_task[of_task["quantity"] == "three_passes"]
        per_pair = of_task.groupby("quantity")["flops"].sum() / whole["pairs"].sum()
        lines = []
        for name, text in QUANTITIES.items():
            numbers = [Cell(operations(by_country[name, country])) for country in countries]
            share = Cell(number(100 * per_pair[name] / per_pair["three_passes"], 1))
            part = name in PARTS
            lines.append(
                TableRow(
                    (f"\u2003{text}" if part else text,), (*numbers, Cell(operations(per_pair[name])), share), aggregate=part
                )
            )
        means = " + ".join(number(whole[side].sum() / whole["pairs"].sum(), 1) for side in ("prompt", "chosen", "rejected"))
        groups.append(
            Group(
                f"{label('task', task)}: N = {_range(whole['pairs'])} pairs of {means} tokens (prompt, chosen, rejected)",
                tuple(lines),
            )
        )
    first = rows.iloc[0]
    sheet = Sheet(
        name=FLOPS,
        title="Operations of DSPA's alignment stage",
        caption=(
            "Floating-point operations of fitting one map, by the accounting of the DSPA paper (2P per token of a forward pass, "
            f"P = {int(first['parameters']):,} parameters; attention and autoencoders left out) and as it is run here."
        ),
        notes=(
            "All of them grow linearly with N, but for padding, the check of the autoencoders, which sees the first batch, and "
            "the pass over the validation pairs, which the paper's accounting has no counterpart of.",
            f"As run: blocks 0 to {int(first['layer_out'])} and no head, each prompt once for both answers. Counted by torch: "
            "its counter of operations around the same fit, all of it.",
        ),
        heads=("Count",),
        columns=(*(label("country", country) for country in countries), "Per pair", "Of the paper's (%)"),
        groups=tuple(groups),
    )
    return make_table(sheet, rows, options.note)


def operations(value: float) -> str:
    """Return a number of operations as shown: ``1.33e11``."""
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{mantissa}e{int(power)}"


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


if __name__ == "__main__":
    run(main)
