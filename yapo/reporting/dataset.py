"""The paper's Table 7: the number of items."""

from __future__ import annotations

import pandas as pd

from yapo.reporting import cells as numbers
from yapo.reporting.cells import records
from yapo.reporting.names import label
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table


def dataset_table(items: pd.DataFrame, options: TableOptions) -> Table:
    """Return the paper's Table 7: the number of items by language, country and variant."""
    counts = numbers.dataset_totals(numbers.dataset_cells(items))
    columns = ["localized", "nonlocalized", "total"]
    rows = []
    for line in records(counts):
        heads = (label("language", line["language"]), "" if line["country"] == "Total" else label("country", line["country"]))
        cells = tuple(Cell(f"{line[column]:,}") for column in columns)
        rows.append(TableRow(heads, cells, aggregate=line["country"] in ("Subtotal", "Total")))
    sheet = Sheet(
        name="table7_dataset",
        title="Data set",
        caption="Number of items by language, country and variant, over all splits.",
        notes=(),
        heads=("Language", "Country"),
        columns=("Localized", "Non-localized", "Total"),
        groups=(Group("", tuple(rows)),),
    )
    return make_table(sheet, counts.melt(["language", "country"], columns, "variant", "items"), options.note)
