"""Operations of fitting DSPA's map, as a table."""

from __future__ import annotations

import pandas as pd

from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import number
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table

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


def flops_table(rows: pd.DataFrame, options: TableOptions) -> Table:
    """Return the operations of fitting the map of each country, per pair, and against the paper's accounting; by task.

    Args:
        rows: rows of the stage ``dspa_study`` about costs, of all countries.
        options: for the note.
    """
    countries = ordered("country", rows["country"])
    groups = []
    for task in ordered("task", rows["task"]):
        own = rows[rows["task"] == task]
        by_country = own.set_index(["quantity", "country"])["flops"]
        whole = own[own["quantity"] == "three_passes"]
        per_pair = own.groupby("quantity")["flops"].sum() / whole["pairs"].sum()
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
