"""Overlap of vectors, against loops and enumeration."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapo.evaluation.bootstrap import fact_weights
from yapo.studies.features.cells import (
    cosines,
    effect_matrix,
    expected_jaccard,
    expected_shared,
    jaccard,
    mean_draws,
    pair_draws,
    percentile_interval,
)

sets = st.sets(st.integers(0, 20), max_size=8)


def test_cosines() -> None:
    vectors = np.array([[3.0, 4.0], [-6.0, -8.0], [4.0, -3.0], [0.0, 0.0]])
    expected = [[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(cosines(vectors), expected, atol=1e-12)
    np.testing.assert_allclose(cosines(vectors[:1], vectors[1:]), [[-1, 0, 0]], atol=1e-12)


@given(sets, sets)
def test_jaccard(a: set[int], b: set[int]) -> None:
    found = jaccard(sorted(a), sorted(b))
    if not a | b:
        assert math.isnan(found)
    else:
        assert found == len([x for x in a if x in b]) / len({*a, *b})


@pytest.mark.parametrize(("a", "b", "total"), [(2, 3, 6), (4, 4, 5), (1, 5, 7), (3, 0, 4)])
def test_expectations_equal_the_mean_over_all_sets(a: int, b: int, total: int) -> None:
    pairs = [(set(x), set(y)) for x in combinations(range(total), a) for y in combinations(range(total), b)]
    assert expected_shared(a, b, total) == pytest.approx(np.mean([len(x & y) for x, y in pairs]))
    assert expected_jaccard(a, b, total) == pytest.approx(np.mean([len(x & y) / len(x | y) for x, y in pairs]))
    assert math.isnan(expected_jaccard(0, 0, total))


def test_effects_as_rows() -> None:
    rows = effect_matrix([np.array([3, 0]), np.array([], dtype=np.int64)], [np.array([1.5, -2.0]), np.array([])], width=5)
    np.testing.assert_array_equal(rows, [[-2, 0, 0, 1.5, 0], [0] * 5])


@given(st.integers(3, 6), st.integers(0, 1000))
def test_pair_draws_equal_a_list_of_the_pairs_drawn(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, n))
    matrix[rng.random((n, n)) < 0.2] = np.nan
    wanted = rng.random((n, n)) < 0.8
    weights = fact_weights(n, resamples=5, seed=seed)
    found = pair_draws(matrix, wanted, weights)
    with_pairs = {c for i in range(n) for j in range(n) if i != j and wanted[i, j] and np.isfinite(matrix[i, j]) for c in (i, j)}
    for draw, (weight, value) in enumerate(zip(weights, found, strict=True)):
        drawn = [country for country in range(n) for _ in range(int(weight[country]))]
        pairs = [matrix[i, j] for i in drawn for j in drawn if i != j and wanted[i, j] and np.isfinite(matrix[i, j])]
        expected = np.mean(pairs) if pairs and (draw == 0 or len(with_pairs) >= 3) else np.nan
        assert value == pytest.approx(expected, nan_ok=True)


def test_mean_draws_leave_out_what_is_missing_and_say_when_there_is_no_spread() -> None:
    weights = fact_weights(4, resamples=50, seed=0)
    draws = mean_draws(np.array([1.0, np.nan, 2.0, 6.0]), weights)
    assert draws[0] == 3
    value, low, high = percentile_interval(draws, 0.9)
    assert (value, low >= 1, high <= 6, low < high) == (3, True, True, True)
    few = mean_draws(np.array([1.0, np.nan, 2.0, np.nan]), weights)
    assert few[0] == 1.5
    assert np.isnan(few[1:]).all()
    assert np.isnan(percentile_interval(few, 0.9)[1:]).all()
