"""Numbers as printed: signs, intervals, percents and plurals."""

from __future__ import annotations

from yapo.reporting.numbers import change, interval, number, number_cell, percent, plural, short, with_interval
from yapo.reporting.render import Cell

NAN = float("nan")


def test_numbers_have_a_true_minus_and_zero_has_none() -> None:
    assert [number(-1.25, 1), number(-0.004), change(1.0, 1), change(-1e-9)] == ["−1.2", "0.00", "+1.0", "+0.00"]


def test_a_change_that_rounds_to_0_keeps_its_direction() -> None:
    assert interval(-0.01, -0.004, sign=True) == "[−0.01, −0.00]"


def test_shares_and_settings() -> None:
    assert [short(-0.5), short(5e-4), percent(0.126), percent(0.126, 1)] == ["−0.5", "0.0005", "13%", "12.6%"]


def test_an_interval_that_is_missing_prints_nothing() -> None:
    assert interval(-1, 2, 1, sign=True) == "[−1.0, +2.0]"
    assert with_interval({"value": 1.0, "low": NAN, "high": NAN}, 1) == "1.0"
    assert number_cell({"value": -1.0, "low": -2.0, "high": 0.0}, 1, more=" (2 runs)") == Cell("−1.0 (2 runs)", "[−2.0, 0.0]")
    assert number_cell(None) is None


def test_counts_agree_with_their_noun() -> None:
    assert [plural(1, "country"), plural(2, "country"), plural(1395, "answer")] == ["1 country", "2 countries", "1,395 answers"]
