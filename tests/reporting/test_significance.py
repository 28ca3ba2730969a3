"""The table of significance: its test against enumeration and scipy, Holm's rule against its definition, and hand-made rows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from yapo.reporting.cells import printed_units
from yapo.reporting.main_tables import build_tables
from yapo.reporting.significance import FLIPS, comparisons, contributions, holm, reference_method, sign_flip_p
from yapo.reporting.tables import Table, TableOptions

from .small_results import OPTIONS, study


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_p_counts_every_flip_of_a_few_facts(parts: list[int]) -> None:
    sums = [
        abs(sum(sign * part for sign, part in zip(signs, parts, strict=True))) for signs in product((1, -1), repeat=len(parts))
    ]
    expected = sum(one >= abs(sum(parts)) for one in sums) / len(sums)
    assert sign_flip_p(np.array(parts, dtype=float), 0) == pytest.approx(expected)


def test_p_of_many_facts_is_scipys_but_for_the_draw() -> None:
    parts = np.random.default_rng(1).normal(0.4, 1.0, 31)
    assert FLIPS < 2**31
    theirs = permutation_test((parts,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=FLIPS, rng=0)
    assert sign_flip_p(parts, 0) == pytest.approx(theirs.pvalue, abs=0.01)
    assert sign_flip_p(parts, 0) == sign_flip_p(parts, 0) != sign_flip_p(parts, 1)
    assert sign_flip_p(np.full(31, 0.1), 0) == pytest.approx(1 / FLIPS)  # only T itself is as large


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_step_down_rule(p: list[float]) -> None:
    """A hypothesis is rejected at a level if all of the smaller p, and its own, are at most level / (m - k + 1)."""
    corrected = holm(p)
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected = set[int]()
        for k, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[i] * (len(p) - k) > level:
                break
            rejected.add(i)
        assert {i for i, value in enumerate(corrected) if value <= level} == rejected


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


def rows_of(scores: dict[str, list[list[float]]]) -> pd.DataFrame:
    """Open-ended rows of two countries by method, ``[country][fact]``; NaN is an answer without a score."""
    return pd.DataFrame(
        [
            {
                "language": "Arabic", "country": country, "task": "open_ended", "setting": "both", "method": method,
                "variant": "localized", "phrasing": 0, "question_id": f"q{fact}", "score": value, "parsed": value == value,
            }
            for method, of_method in scores.items()
            for country, values in zip(("egypt", "morocco"), of_method, strict=True)
            for fact, value in enumerate(values)
        ]
    )  # fmt: skip


def test_a_difference_is_that_of_means_over_countries_whatever_their_sizes() -> None:
    rows = rows_of({"baseline": [[1.0, 2.0], [3.0, 3.0, 3.0, 3.0]], "yapo": [[3.0, 4.0], [4.0, 4.0, 4.0, 8.0]]})
    data = comparisons(rows, TableOptions(resamples=100)).set_index(["method", "compared_with"])
    assert list(data.index) == [("yapo", "baseline")]
    assert data["value"].item() == pytest.approx((2.0 + 2.0) / 2)
    apart = rows[rows["method"] == "yapo"].assign(score=[2.0, 2.0, 1.0, 1.0, 1.0, 5.0])
    assert contributions(apart).tolist() == pytest.approx([0.5 + 0.125, 0.5 + 0.125, 0.125, 0.625])
    assert data["p"].item() == pytest.approx(2 / 16)


def test_a_pair_leaves_out_what_one_side_has_no_score_for() -> None:
    rows = rows_of({"baseline": [[1.0, 9.0], [1.0, 1.0]], "yapo": [[2.0, np.nan], [2.0, 2.0]]})
    data = comparisons(rows, TableOptions(resamples=100))
    assert data[["value", "n"]].to_numpy().tolist() == [[1.0, 3]]


def test_verdicts_follow_the_corrected_p() -> None:
    noise, worse, better = [[5.0 + (-1) ** fact for fact in range(12)]] * 2, [[4.0] * 12] * 2, [[6.5] * 12] * 2
    rows = rows_of({"baseline": [[5.0] * 12] * 2, "caa": noise, "sas": worse, "yapo": better, "random": [[5.0] * 12] * 2})
    data = comparisons(rows, TableOptions(resamples=100)).set_index(["compared_with", "method"])
    assert data.loc["baseline", "verdict"].to_dict() == {"random": "alike", "caa": "not shown", "sas": "lower", "yapo": "higher"}
    assert data.loc["yapo", "verdict"].to_dict() == {"random": "lower", "caa": "lower", "sas": "lower"}
    assert len(data) == 7
    assert data["p_holm"].tolist() == pytest.approx(holm(data["p"]).tolist())


def test_the_method_compared_with() -> None:
    assert reference_method(["baseline", "sas", "yapo", "caa"]) == "yapo"
    assert reference_method(["random", "sas", "caa", "baseline", "prompt"]) == "caa"
    assert reference_method(["baseline", "random"]) is None


def test_the_table_agrees_with_the_summary(tables: dict[str, Table]) -> None:
    summary = tables["summary"].data.set_index(["task", "setting", "method"])
    data = tables["significance"].data.query("compared_with == 'baseline'")
    assert len(data) == 12
    for record in data.to_dict("records"):
        cell = summary.loc[(record["task"], record["setting"], record["method"])]
        assert record["value"] == pytest.approx(cell["delta_vs_baseline"])
        assert [record["low"], record["high"]] == pytest.approx([cell["delta_low"], cell["delta_high"]])
    text = tables["significance"].texts["md"]
    assert "Holm's rule for all 18 comparisons" in text and "60 resamples of facts" in text


def test_one_method_alone_has_no_rows() -> None:
    evaluation, items = study(("baseline",))
    table = build_tables(evaluation, items, OPTIONS)["significance"]
    assert table.data.empty and "nothing to compare" in table.texts["md"]
    assert comparisons(printed_units(evaluation), OPTIONS).empty
