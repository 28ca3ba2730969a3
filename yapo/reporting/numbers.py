"""Numbers as tables, figures and findings print them: true minus signs, and nothing for a missing interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.checks import Task
from yapo.reporting.render import DASH, MINUS, Cell

VALUE = ("value", "low", "high")
_ZERO = 5e-7  # a smaller number is 0 in a csv file, which has six decimals
_PLURALS = {"country": "countries", "steered country": "steered countries"}


def number(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """Return a number with that many decimals, a dash for NaN.

    With ``sign``, a plus stands before what is not below 0, and a minus also before what rounds to 0 from below: an interval
    that ends there does not reach 0.
    """
    if math.isnan(value):
        return DASH
    if abs(value) < _ZERO:
        value = 0.0
    return f"{value:{'+' if sign else '-z'}.{digits}f}".replace("-", MINUS)


def change(value: float, digits: int = 2) -> str:
    """Return a difference with its sign."""
    return number(value, digits, sign=True)


def short(value: float) -> str:
    """Return a number with as few digits as it needs, such as a multiplier or a learning rate."""
    return f"{value:g}".replace("-", MINUS)


def nats(level: float) -> str:
    """Return "1 nat", "0.5 nats"."""
    return f"{short(level)} nat{'' if level == 1 else 's'}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share (0..1) in percent."""
    return f"{number(100 * share, digits)}%"


def interval(low: float, high: float, digits: int = 2, *, sign: bool = False) -> str:
    """Return ``[low, high]``, or nothing where there is no interval (NaN)."""
    return "" if math.isnan(low) else f"[{number(low, digits, sign=sign)}, {number(high, digits, sign=sign)}]"


def with_interval(record: Mapping[str, Any], digits: int = 2, *, names: tuple[str, str, str] = VALUE, sign: bool = False) -> str:
    """Return ``value [low, high]`` of a record; ``names`` are its three columns."""
    value, low, high = (float(record[name]) for name in names)
    return f"{number(value, digits, sign=sign)} {interval(low, high, digits, sign=sign)}".rstrip()


def bounds(name: str) -> tuple[str, str, str]:
    """Return the columns of a number and its interval: ``name``, ``name_low``, ``name_high``."""
    return name, f"{name}_low", f"{name}_high"


CHANGE = bounds("change")


def number_cell(
    record: Mapping[str, Any] | None,
    digits: int = 2,
    *,
    names: tuple[str, str, str] = VALUE,
    sign: bool = False,
    more: str = "",
    detail: str = "",
    failures: str = "",
) -> Cell | None:
    """Return a record as the cell of a table, or None where there is none; ``more`` follows the value."""
    if record is None:
        return None
    value, low, high = (float(record[name]) for name in names)
    printed = interval(low, high, digits, sign=sign)
    return Cell(number(value, digits, sign=sign) + more, printed, detail=detail, failures=failures)


def change_cell(record: Mapping[str, Any] | None, digits: int = 2, names: tuple[str, str, str] = CHANGE) -> Cell | None:
    """Return the difference of a record as the cell of a table, or None where there is none."""
    return number_cell(record, digits, names=names, sign=True)


def counts_cell(record: Mapping[str, Any]) -> Cell:
    """Return "8 (4 facts)" of a record with ``n`` and ``n_facts``."""
    return Cell(f"{record['n']:,} ({record['n_facts']} facts)")


def failed(rate: float, how: str = "unparsed") -> str:
    """Return "6.3% unparsed", or nothing where none failed; the mark of a cell."""
    return f"{percent(rate, 1)} {how}" if rate > 0 else ""


def plural(count: int, noun: str) -> str:
    """Return "1 country", "2 countries", "1,395 answers"."""
    return f"{count:,} {noun if count == 1 else _PLURALS.get(noun, noun + 's')}"


def mean_over_countries(number: int) -> str:
    """Return "mean over 2 countries", or "one country" where there is nothing to average."""
    return "one country" if number == 1 else f"mean over {plural(number, 'country')}"


def score_digits(task: Task) -> int:
    """Return the decimals of a task's score: percent of accuracy has one, a score of 0 to 10 two."""
    return 1 if task == "mcq" else 2


def read_numbers(path: Path) -> pd.DataFrame:
    """Return the tidy numbers of a written table; of several ways to answer multiple choice, those of the first."""
    frame = pd.read_csv(path)
    if "way" not in frame:
        return frame
    first = frame["way"].dropna().head(1)
    return frame[frame["way"].isna() | frame["way"].isin(first)].drop(columns="way").reset_index(drop=True)
