"""From tidy cells to printed rows: number format, best value, counts, footnotes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from yapo.evaluation.metrics import round_half_up
from yapo.reporting.cells import records
from yapo.reporting.names import AGGREGATES, label, ordered
from yapo.reporting.render import DAGGER, DASH, MINUS, MISSING, Cell, Group, Row

Digits = Callable[[Mapping[str, Any]], int]


@dataclass(frozen=True)
class Layout:
    """How tidy cells become a table.

    Attributes:
        by: columns that make a group.
        heads: columns that make a row and its headers.
        digits: decimals of a cell.
        headings: group headings by the values of ``by``; their display names where absent.
        notes: footnotes of this table, before the general ones.
    """

    by: tuple[str, ...]
    heads: tuple[str, ...]
    digits: Digits
    headings: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def groups_of(data: pd.DataFrame, layout: Layout) -> tuple[Group, ...]:
    """Arrange tidy cells (``yapo.reporting.cells.cells``, in display order) with one column per method."""
    by, heads, digits = layout.by, layout.heads, layout.digits
    methods = ordered("method", data["method"])
    groups = []
    for group, part in data.groupby(list(by), sort=False):
        key = tuple(map(str, group))
        rows = []
        for row, line in part.groupby(list(heads), sort=False):
            names = tuple(map(str, row))
            best = _best(line, digits)
            cells = {cell["method"]: replace(_cell(cell, digits(cell)), best=cell["method"] in best) for cell in records(line)}
            texts = tuple(label(kind, name) for kind, name in zip(heads, names, strict=True))
            aggregate = any(name in AGGREGATES for name in names)
            rows.append(Row(texts, tuple(cells.get(name) for name in methods), _counts(line), aggregate))
        groups.append(Group(layout.headings.get(key) or _names(by, key), tuple(rows)))
    return tuple(groups)


def notes_of(data: pd.DataFrame, layout: Layout, resamples: int, confidence: float) -> list[str]:
    """Footnotes: the table's own, then what brackets, bold type, n and the dagger mean."""
    if data.empty:
        return ["No rows: the task or one of the settings of this table was not evaluated."]
    notes = list(layout.notes)
    if data["low"].notna().any():
        level = f"{100 * confidence:g}%"
        notes.append(f"Brackets: {level} bootstrap interval, {resamples:,} resamples of facts with all their rows.")
    if data["method"].nunique() > 1:
        notes.append("Bold: best value of the row, also where intervals overlap.")
    members = data[~data[list(layout.heads)].isin(AGGREGATES).any(axis=1)]
    kind = "setting" if "setting" in data else "task"
    sizes: dict[str, list[str]] = {}
    for key, part in members.groupby(kind, sort=False):
        sizes.setdefault(_counts(part), []).append(label(kind, str(key)))
    shown = [size if len(sizes) == 1 else f"{size} in {' / '.join(names)}" for size, names in sizes.items()]
    notes.append(f"Test rows in a cell: {'; '.join(shown)}.")
    failed = data.loc[data["parse_failure_rate"] > 0, "parse_failure_rate"]
    if len(failed):
        rates = _span([_percent(failed.min()), _percent(failed.max())])
        notes.append(
            f"{DAGGER} Some completions could not be parsed ({rates} in the marked cells): wrong in multiple choice; "
            "in open-ended scoring, rows without a score are left out."
        )
    else:
        notes.append("Parse failures: none in any cell.")
    return notes


def _names(kinds: Sequence[str], keys: Sequence[str]) -> str:
    return ", ".join(label(kind, key) for kind, key in zip(kinds, keys, strict=True))


def _best(line: pd.DataFrame, digits: Digits) -> set[str]:
    """Methods with the best printed value of a row; none where all agree. PNLG is best closest to 0, the rest highest."""
    printed = {cell["method"]: float(round_half_up(cell["value"], digits(cell))) for cell in records(line)}
    merit = {name: -abs(value) if _is_pnlg(line) else value for name, value in printed.items() if not math.isnan(value)}
    if len(set(merit.values())) < 2:
        return set()
    return {name for name, value in merit.items() if value == max(merit.values())}


def _is_pnlg(line: pd.DataFrame) -> bool:
    return "metric" in line and bool((line["metric"] == "pnlg").any())


def _cell(cell: Mapping[str, Any], digits: int) -> Cell:
    def number(name: str, sign: str = "-", digits: int = digits) -> str:
        value = float(cell[name])
        return MISSING if math.isnan(value) else f"{float(round_half_up(value, digits)):{sign}.{digits}f}".replace("-", MINUS)

    def interval(low: str, high: str, sign: str = "-") -> str:
        short = min(digits, 2)  # a third decimal of a bootstrap bound is noise, and widens the column
        return "" if math.isnan(cell[low]) else f"[{number(low, sign, short)}, {number(high, sign, short)}]"

    compared = cell["method"] != "baseline" and not math.isnan(cell["delta_vs_baseline"])
    delta = number("delta_vs_baseline", "+") if compared else ""
    failures = cell["parse_failure_rate"]
    detail = f"n = {cell['n']:,} rows of {cell['n_facts']:,} facts; parse failures {_percent(failures)}"
    if compared:
        detail += f"; difference from baseline {delta} {interval('delta_low', 'delta_high', '+')}".rstrip()
    return Cell(
        value=number("value"),
        interval=interval("low", "high"),
        delta=delta,
        failures=f"{_percent(failures)} unparsed" if failures > 0 else "",
        detail=detail,
    )


def _counts(line: pd.DataFrame) -> str:
    rows = _span([f"{line['n'].min():,}", f"{line['n'].max():,}"])
    facts = _span([f"{line['n_facts'].min():,}", f"{line['n_facts'].max():,}"])
    return f"n = {rows} ({facts} facts)"


def _span(ends: list[str]) -> str:
    return ends[0] if ends[0] == ends[1] else f"{ends[0]}{DASH}{ends[1]}"


def _percent(rate: float) -> str:
    return "<0.1%" if 0 < rate < 0.0005 else f"{float(round_half_up(100 * rate, 1)):.1f}%"
