"""General knowledge before and after steering, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS, Cell, Group, Row, Sheet
from yapo.reporting.tables import Table, make_table

NAME = "knowledge"
KEYS = ["questions", "metric", "about", "method"]
_ABOUT = {"": "", "own": "steered country", "same language": "others of its language", "other languages": "other languages"}


def knowledge_table(rows: pd.DataFrame, vector: str, note: str = "") -> Table:
    """Mean score and change of each method over all steered countries.

    Args:
        rows: columns of the stage ``knowledge``, of all countries.
        vector: which vectors steered, in words.
        note: sentence printed under the table.
    """
    data = knowledge_cells(rows)
    methods = ordered("method", data["method"])
    lines = []
    for (questions, metric, about), part in data.groupby(["questions", "metric", "about"], sort=False):
        found = {str(cell["method"]): _cell(cell, str(metric)) for cell in records(part)}
        lines.append(Row((str(questions), _ABOUT[str(about)], str(metric)), tuple(found.get(method) for method in methods)))
    sheet = Sheet(
        name=NAME,
        title="General knowledge",
        caption=f"What the model knows when steered towards one country ({vector}), mean over the steered countries.",
        notes=(
            "Scores by lm-eval; acc is in percent. Brackets: smallest and largest change from the baseline on the same questions "
            "among the steered countries. The change of every task, and its error, is in each country's knowledge.parquet.",
            *([note] if note else []),
        ),
        heads=("Questions", "About", "Metric"),
        columns=tuple(label("method", method) for method in methods),
        groups=(Group("", tuple(lines)),),
    )
    return make_table(sheet, data)


def knowledge_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Tidy numbers: ``KEYS``, countries, n, value, change, change_low, change_high.

    Tasks count once for each steered country; tasks that a group sums up are left out. ``n`` is the number of questions of a
    country, summed over tasks.
    """
    shown = rows[rows["part_of"] == ""].copy()
    own = shown["about"] != ""
    shown["questions"] = shown["task"].mask(own, shown["task"].str.extract(r"^(culture_(?:mcq|open_ended))", expand=False))
    order = [about for about in _ABOUT if about in set(shown["about"])]
    shown["about"] = pd.Categorical(shown["about"], order, ordered=True)
    by_country = shown.groupby([*KEYS, "country"], observed=True, sort=False)
    means = by_country.agg(n=("n", "sum"), value=("value", "mean"), change=("change", "mean")).reset_index()
    cells = means.groupby(KEYS, observed=True, sort=False).agg(
        countries=("country", "nunique"),
        n=("n", "max"),
        value=("value", "mean"),
        change_low=("change", "min"),
        change_high=("change", "max"),
        change=("change", "mean"),
    )
    cells = cells.reset_index().sort_values(["questions", "metric", "about"], kind="stable", ignore_index=True)
    return cells.astype({"about": str})


def _cell(cell: Mapping[str, Any], metric: str) -> Cell:
    percent = metric.startswith(("acc", "exact_match"))

    def number(name: str, sign: str = "-") -> str:
        text = f"{100 * float(cell[name]):{sign}.1f}" if percent else f"{float(cell[name]):{sign}.3f}"
        return text.replace("-", MINUS)

    detail = f"n = {cell['n']:,} questions, {cell['countries']} steered countries"
    if cell["method"] == "baseline":
        return Cell(number("value"), detail=detail)
    spread = f"[{number('change_low', '+')}, {number('change_high', '+')}]" if cell["countries"] > 1 else ""
    return Cell(number("value"), interval=spread, delta=number("change", "+"), detail=detail)
