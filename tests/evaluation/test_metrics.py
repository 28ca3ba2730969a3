"""RCA, PNLG, rounding and the paper's averages."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.errors import YapoError
from yapo.evaluation.metrics import (
    KEYS,
    country_metrics,
    language_metrics,
    mean_over,
    overall_metrics,
    pnlg,
    rca,
    round_half_up,
)

accuracy = st.integers(0, 1000).map(lambda parts: parts / 1000)
kinds = st.tuples(*[st.integers(0, 9)] * 4).filter(any)
checked = settings(deadline=None)


def answers(counts: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of right and wrong answers: so many of (1, 1), (1, 0), (0, 1), (0, 0)."""
    return np.repeat([1.0, 1, 0, 0], counts), np.repeat([1.0, 0, 1, 0], counts)


@checked
@given(accuracy, accuracy)
def test_rca_is_symmetric_and_lies_between_the_smaller_score_and_the_mean(loc: float, non: float) -> None:
    value = float(rca(loc, non))
    assert value == float(rca(non, loc))
    assert min(loc, non) - 1e-12 <= value <= (loc + non) / 2 + 1e-12


@checked
@given(accuracy, accuracy)
def test_pnlg_is_antisymmetric_and_at_most_two(loc: float, non: float) -> None:
    value = float(pnlg(loc, non))
    assert value == -float(pnlg(non, loc))
    assert abs(value) <= 2 + 1e-12
    assert np.sign(value) == np.sign(loc - non)


@checked
@given(accuracy, accuracy)
def test_units_scale_rca_and_leave_pnlg_alone(loc: float, non: float) -> None:
    assert float(rca(100 * loc, 100 * non)) == pytest.approx(100 * float(rca(loc, non)))
    assert float(pnlg(100 * loc, 100 * non)) == pytest.approx(float(pnlg(loc, non)))


@checked
@given(accuracy, accuracy, st.floats(0, 1))
def test_alpha_runs_from_the_raw_gap_to_the_relative_gap(loc: float, non: float, alpha: float) -> None:
    assert float(pnlg(loc, non, 0)) == pytest.approx(loc - non)
    low, high = sorted([abs(loc - non), abs(float(pnlg(loc, non)))])
    assert low - 1e-12 <= abs(float(pnlg(loc, non, alpha))) <= high + 1e-12


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_zero_scores_give_zero(alpha: float) -> None:
    assert float(rca(0, 0)) == float(pnlg(0, 0, alpha)) == 0
    assert float(rca(0.4, 0)) == 0
    assert float(pnlg(0.4, 0)) == pytest.approx(2)


def test_missing_resamples_stay_missing() -> None:
    scores = pd.DataFrame(
        {0: [0.4, 0.2], 1: [np.nan, 0.2]},
        index=pd.MultiIndex.from_product([["x"], ["y"], ["mcq"], ["localized", "nonlocalized"], ["yapo"]], names=KEYS),
    )
    assert country_metrics(scores)[1].isna().all() and country_metrics(scores)[0].notna().all()


def test_below_alpha_one_pnlg_is_that_of_shares_whatever_the_unit() -> None:
    share = float(pnlg(0.8, 0.4, 0.5))
    assert float(pnlg(80, 40, 0.5, top=100)) == float(pnlg(8, 4, 0.5, top=10)) == pytest.approx(share)
    assert share == pytest.approx(0.4 / 0.6**0.5)


def test_uk_baseline_as_printed() -> None:
    assert float(rca(36.4, 23.2)) == pytest.approx(28.338, abs=5e-4)
    assert float(pnlg(36.4, 23.2)) == pytest.approx(0.44295, abs=5e-6)


@checked
@given(kinds)
def test_instance_metrics_of_right_and_wrong_answers(counts: tuple[int, int, int, int]) -> None:
    loc, non = answers(counts)
    assert rca(loc, non).mean() == pytest.approx((loc * non).mean())
    assert pnlg(loc, non).mean() == pytest.approx(2 * (loc - non).mean())


@checked
@given(kinds)
def test_macro_rca_is_never_below_the_instance_rca(counts: tuple[int, int, int, int]) -> None:
    loc, non = answers(counts)
    assert float(rca(loc.mean(), non.mean())) >= rca(loc, non).mean() - 1e-12


BAD_SCORES: dict[str, tuple[Any, Any, str]] = {
    "below 0": (-0.1, 0.2, "localized scores hold -0.1"),
    "below 0, other side": (0.1, [0.3, -0.2], "nonlocalized scores hold -0.2"),
    "above every unit": ([101.0, 3.0], [1.0, 2.0], "localized scores hold 101"),
    "NaN": ([0.5, np.nan], [0.5, 0.5], "localized scores hold nan"),
    "infinite": ([0.5], [np.inf], "nonlocalized scores hold inf"),
    "two lengths": ([0.1, 0.2, 0.3], [0.1, 0.2], "localized has shape (3,) and nonlocalized (2,)"),
    "two shapes": (np.ones((2, 3)), np.ones((3, 2)), "localized has shape (2, 3) and nonlocalized (3, 2)"),
    "a row and a matrix": (np.ones(3), np.ones((2, 3)), "localized has shape (3,) and nonlocalized (2, 3)"),
    "words": (["high"], [0.2], "localized scores are no array of numbers"),
    "one word": ("0.5x", 0.2, "localized scores are no array of numbers"),
    "nothing": (None, 0.2, "localized scores are no array of numbers"),
    "rows of two lengths": ([[0.1, 0.2], [0.3]], [[0.1], [0.2]], "localized scores are no array of numbers"),
    "a dictionary": ({"a": 1}, 0.2, "localized scores are no array of numbers"),
    "a number beyond floats": ([10**400], [0.2], "localized scores are no array of numbers"),
    "a series with a number beyond floats": (pd.Series([10**5000]), [0.2], "localized scores are no array of numbers"),
    "complex": ([1j], [0.2], "localized scores are no array of numbers"),
}


@pytest.mark.parametrize("case", BAD_SCORES.values(), ids=BAD_SCORES)
def test_scores_that_cannot_be_are_refused(case: tuple[Any, Any, str]) -> None:
    localized, nonlocalized, said = case
    for call in (rca, pnlg):
        refused(lambda call=call: call(localized, nonlocalized), said)


BAD_OPTIONS: dict[str, tuple[Callable[[], object], str]] = {
    "alpha above 1": (lambda: pnlg(0.1, 0.2, 1.5), "alpha of PNLG is 1.5"),
    "alpha below 0": (lambda: pnlg(0.1, 0.2, -0.5), "alpha of PNLG is -0.5"),
    "alpha NaN": (lambda: pnlg(0.1, 0.2, math.nan), "alpha of PNLG is nan"),
    "alpha in words": (lambda: pnlg(0.1, 0.2, "1"), "alpha of PNLG is 1;"),  # type: ignore[arg-type]
    "percents below alpha 1": (lambda: pnlg(80.0, 40.0, 0.5), "a score of 80 is no share; give top=100"),
    "grades at alpha 0": (lambda: pnlg([8.0], [4.0], 0.0), "a score of 8 is no share"),
    "top 0": (lambda: pnlg(0.1, 0.2, 0.5, top=0), "top of PNLG is 0"),
    "top beyond every unit": (lambda: pnlg(0.1, 0.2, 0.5, top=1000), "top of PNLG is 1000"),
    "a score above top": (lambda: pnlg(80.0, 4.0, 0.5, top=10), "localized scores hold 80; each must be a number from 0 to 10"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_options_that_cannot_be_are_refused(case: tuple[Callable[[], object], str]) -> None:
    refused(*case)


def refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(YapoError) as caught:
        call()
    message = str(caught.value)
    assert said in message and "\n" not in message and "; " in message  # the fault; the fix


@checked
@given(st.integers(-100_000, 100_000), st.integers(0, 3))
def test_halves_are_rounded_away_from_zero_like_decimal_numbers(thousandths: int, digits: int) -> None:
    exact = (Decimal(thousandths) / 1000).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    assert float(round_half_up(thousandths / 1000, digits)) == float(exact)


def frame(cells: dict[tuple[str, str, str, str, str], float]) -> pd.DataFrame:
    return pd.DataFrame({0: list(cells.values())}, index=pd.MultiIndex.from_tuples(list(cells), names=KEYS))


def test_language_rows_average_country_metrics_not_accuracies() -> None:
    scores = frame(
        {
            ("Hindi", "india", "mcq", "localized", "yapo"): 80.0,
            ("Hindi", "india", "mcq", "nonlocalized", "yapo"): 20.0,
            ("Hindi", "nepal", "mcq", "localized", "yapo"): 20.0,
            ("Hindi", "nepal", "mcq", "nonlocalized", "yapo"): 80.0,
        }
    )
    languages = language_metrics(country_metrics(scores))
    assert languages.loc[("rca", "Hindi", "mcq", "yapo"), 0] == pytest.approx(32)
    assert languages.loc[("pnlg", "Hindi", "mcq", "yapo"), 0] == pytest.approx(0)


def test_overall_averages_printed_language_rows() -> None:
    index = pd.MultiIndex.from_tuples(
        [("rca", "Arabic", "open_ended", "yapo"), ("rca", "Hindi", "open_ended", "yapo")],
        names=["metric", "language", "task", "method"],
    )
    rows = pd.DataFrame({0: [1.004, 2.004]}, index=index)
    assert overall_metrics(rows).loc[("rca", "open_ended", "yapo"), 0] == pytest.approx(1.5)


def test_a_method_that_lacks_a_country_gets_no_average() -> None:
    scores = frame(
        {
            ("Hindi", "india", "mcq", "both", "baseline"): 10.0,
            ("Hindi", "nepal", "mcq", "both", "baseline"): 30.0,
            ("Hindi", "india", "mcq", "both", "yapo"): 90.0,
        }
    )
    means = mean_over(scores, "country", ["language", "task"])
    assert means[0].to_dict() == {("Hindi", "mcq", "both", "baseline"): 20.0}


def test_country_metrics_need_both_settings() -> None:
    assert country_metrics(frame({("Hindi", "india", "mcq", "localized", "yapo"): 50.0})).empty
