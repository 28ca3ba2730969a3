"""Cohen's κ against scikit-learn's, and its interval over facts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from yapo.evaluation.agreement import Agreement, cohen_kappa
from yapo.evaluation.bootstrap import fact_weights

GRADES = range(11)


def kappa(first: list[float], second: list[float], facts: list[str] | None = None, grades: range = GRADES) -> Agreement:
    names = [f"q{i}" for i in range(len(first))] if facts is None else facts
    return cohen_kappa(first, second, names, grades, resamples=200, confidence=0.95, seed=0)


def by_scikit_learn(first: list[float], second: list[float], grades: range, weights: np.ndarray | None = None) -> float:
    scale = "quadratic" if len(grades) > 2 else None
    return float(cohen_kappa_score(first, second, labels=list(grades), weights=scale, sample_weight=weights))


def some_ratings(grades: range) -> tuple[list[float], list[float], list[str]]:
    generator = np.random.default_rng(0)
    first = generator.integers(grades[0], grades[-1] + 1, 40)
    second = np.clip(first + generator.integers(-2, 3, 40), grades[0], grades[-1])
    return first.astype(float).tolist(), second.astype(float).tolist(), [f"q{i % 7}" for i in range(40)]


@pytest.mark.parametrize("grades", [GRADES, range(2), range(1, 5)])
def test_kappa_and_every_resample_are_those_of_scikit_learn(grades: range) -> None:
    first, second, facts = some_ratings(grades)
    found = kappa(first, second, facts, grades)
    place = pd.factorize(np.array(facts), sort=True)[0]
    plain = [by_scikit_learn(first, second, grades, drawn[place]) for drawn in fact_weights(7, 200, seed=0)]
    assert found.value == pytest.approx(by_scikit_learn(first, second, grades))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(plain[1:], [0.025, 0.975])))
    assert (found.n, found.n_facts) == (40, 7)


def test_a_grade_that_nobody_gave_keeps_its_place_on_the_scale() -> None:
    assert kappa([0, 10, 5, 0], [0, 10, 4, 1]).value > kappa([0, 10, 5, 0], [0, 10, 0, 5]).value


def test_what_one_did_not_rate_is_left_out() -> None:
    found = kappa([1, 2, math.nan, 9], [1, 3, 4, math.nan])
    assert (found.n, found.n_facts) == (2, 2)
    empty = kappa([math.nan, 1], [1, math.nan])
    assert (empty.n, empty.n_facts) == (0, 0)
    assert math.isnan(empty.value)


def test_raters_who_never_differ_have_no_interval() -> None:
    found = kappa([1, 5, 9], [1, 5, 9])
    assert found.value == 1.0
    assert math.isnan(found.low) and math.isnan(found.high)


def test_one_grade_throughout_has_no_kappa() -> None:
    found = kappa([5, 5, 5], [5, 5, 5])
    assert math.isnan(found.value)
    assert found.n == 3


def test_the_interval_resamples_facts_and_not_answers() -> None:
    """Many answers about few facts leave as much doubt as few answers: copies of each add nothing."""
    first, second, facts = [1, 5, 9, 2, 7, 4], [2, 5, 7, 5, 7, 1], list("abcdef")
    once, often = kappa(first, second, facts), kappa(first * 20, second * 20, facts * 20)
    assert often.value == pytest.approx(once.value)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert kappa(first * 20, second * 20).high - kappa(first * 20, second * 20).low < (once.high - once.low) / 2
    alone = kappa(first, second, ["a"] * 6)
    assert math.isnan(alone.low) and alone.n_facts == 1
