"""Numbers as tables, figures and findings print them: true minus signs, and nothing for a missing interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from yapo.reporting.render import DASH, MINUS, Cell

VALUE = ("value", "low", "high")
_ZERO = 5e-7  # what is 0 in a csv file, which has six decimals
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


def percent(share: float, digits: int = 0) -> str:
    """Return a share (0..1) in percent."""
    return f"{number(100 * share, digits)}%"


def interval(low: float, high: float, digits: int = 2, *, sign: bool = False) -> str:
    """Return ``[low, high]``, or nothing where there is no interval (NaN)."""
    return "" if math.isnan(low) else f"[{number(low, digits, sign=sign)}, {number(high, digits, sign=sign)}]"


def with_interval(cell: Mapping[str, Any], digits: int = 2, *, names: tuple[str, str, str] = VALUE, sign: bool = False) -> str:
    """Return ``value [low, high]`` of a record; ``names`` are its three columns."""
    value, low, high = (float(cell[name]) for name in names)
    return f"{number(value, digits, sign=sign)} {interval(low, high, digits, sign=sign)}".rstrip()


def number_cell(
    cell: Mapping[str, Any] | None,
    digits: int = 2,
    *,
    names: tuple[str, str, str] = VALUE,
    sign: bool = False,
    more: str = "",
    detail: str = "",
) -> Cell | None:
    """Return a record as the cell of a table, or None where there is none; ``more`` follows the value."""
    if cell is None:
        return None
    value, low, high = (float(cell[name]) for name in names)
    return Cell(number(value, digits, sign=sign) + more, interval(low, high, digits, sign=sign), detail=detail)


def plural(count: int, noun: str) -> str:
    """Return "1 country", "2 countries", "1,395 answers"."""
    return f"{count:,} {noun if count == 1 else _PLURALS.get(noun, noun + 's')}"


def score_digits(task: str) -> int:
    """Return how many decimals a task's score has: percent of accuracy one, a score of 0 to 10 two."""
    return 1 if task == "mcq" else 2
