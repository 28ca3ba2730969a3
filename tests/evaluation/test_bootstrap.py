"""Cluster bootstrap over facts, against a plain loop over rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.evaluation.bootstrap import (
    alike,
    baseline_rows,
    differences,
    fact_weights,
    intervals,
    resampled_means,
    unseen_share,
)
from yapo.evaluation.metrics import KEYS, country_metrics, mean_over, rca


def results(seed: int = 0, facts: int = 12, countries: tuple[str, ...] = ("india", "nepal")) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for fact in range(facts):
        hard = rng.uniform(0.1, 0.9)
        for country in countries:
            for setting in ("localized", "nonlocalized"):
                for method in ("baseline", "yapo"):
                    rows += [
                        ("Hindi", country, "mcq", setting, method, f"fact-{fact}", phrasing, float(rng.random() < hard))
                        for phrasing in range(3)
                    ]
    return pd.DataFrame(rows, columns=[*KEYS, "question_id", "phrasing", "score"])


def loop_twin(rows: pd.DataFrame, weights: np.ndarray, cell: tuple[str, ...]) -> list[float]:
    """Repeat every row of a fact as often as the fact was drawn, then take the mean."""
    chosen = rows[(rows[KEYS] == list(cell)).all(axis=1)]
    facts = [
        chosen.loc[chosen["question_id"] == fact, "score"].dropna().tolist() for fact in sorted(rows["question_id"].unique())
    ]
    means = []
    for draw in weights:
        scores = [score for own, times in zip(facts, draw, strict=True) for score in own * int(times)]
        means.append(float(np.mean(scores)) if scores else float("nan"))
    return means


def test_means_equal_those_of_the_repeated_rows() -> None:
    rows = results()
    rows.loc[[0, 5, 40], "score"] = np.nan
    draws = resampled_means(rows, KEYS, resamples=25, seed=3)
    weights = fact_weights(12, 25, 3)
    for cell in draws.index:
        np.testing.assert_allclose(draws.loc[cell], loop_twin(rows, weights, cell))


def test_rca_of_a_country_draws_the_same_facts_for_both_settings() -> None:
    rows = results(1)
    weights = fact_weights(12, 25, 0)
    draws = country_metrics(resampled_means(rows, KEYS, resamples=25, seed=0))
    loc = loop_twin(rows, weights, ("Hindi", "nepal", "mcq", "localized", "yapo"))
    non = loop_twin(rows, weights, ("Hindi", "nepal", "mcq", "nonlocalized", "yapo"))
    np.testing.assert_allclose(draws.loc[("rca", "Hindi", "nepal", "mcq", "yapo")], rca(loc, non))


def test_language_average_draws_the_same_facts_for_all_countries() -> None:
    rows = results(2)
    weights = fact_weights(12, 25, 0)
    draws = mean_over(resampled_means(rows, KEYS, resamples=25, seed=0), "country", ["language", "task"])
    parts = [loop_twin(rows, weights, ("Hindi", country, "mcq", "localized", "yapo")) for country in ("india", "nepal")]
    np.testing.assert_allclose(draws.loc[("Hindi", "mcq", "localized", "yapo")], np.mean(parts, axis=0))


def test_weights_hold_the_observed_sample_and_full_resamples() -> None:
    weights = fact_weights(7, 50, 0)
    assert weights.shape == (51, 7)
    assert (weights[0] == 1).all() and (weights.sum(axis=1) == 7).all()


def test_equal_seeds_give_equal_draws_whatever_the_row_order() -> None:
    rows = results()
    first = resampled_means(rows, KEYS, resamples=40, seed=5)
    shuffled = resampled_means(rows.sample(frac=1, random_state=1), KEYS, resamples=40, seed=5)
    pd.testing.assert_frame_equal(first, shuffled.loc[first.index])
    assert not first.equals(resampled_means(rows, KEYS, resamples=40, seed=6))


def test_phrasings_of_one_fact_widen_the_interval() -> None:
    """Thirty rows of ten facts that agree within a fact say as much as ten rows."""
    scores = [1.0, 0.0] * 5
    once = pd.DataFrame({"cell": "x", "question_id": [f"f{i}" for i in range(10)], "score": scores})
    thrice = pd.concat([once] * 3)
    independent = thrice.assign(question_id=[f"f{i}" for i in range(30)])

    def width(rows: pd.DataFrame) -> float:
        bounds = intervals(resampled_means(rows, ["cell"], resamples=2000, seed=0), 0.95)
        return float((bounds["high"] - bounds["low"]).iloc[0])

    assert width(thrice) == pytest.approx(width(once))
    assert width(independent) < 0.7 * width(thrice)


def test_intervals_cover_the_true_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for repeat in range(60):
        truth = rng.beta(4, 4, size=40)  # the mean over all facts is 0.5
        rows = pd.DataFrame({"cell": "x", "question_id": np.repeat(np.arange(40).astype(str), 3)})
        rows["score"] = (rng.random(120) < np.repeat(truth, 3)).astype(float)
        bounds = intervals(resampled_means(rows, ["cell"], resamples=300, seed=repeat), 0.9).iloc[0]
        covered += bool(bounds["low"] <= 0.5 <= bounds["high"])
    assert 0.8 <= covered / 60 <= 0.98


def test_a_method_compared_with_itself_has_no_spread() -> None:
    rows = results()
    twin = rows[rows["method"] == "baseline"].assign(method="copy")
    draws = resampled_means(pd.concat([rows, twin]), KEYS, resamples=30, seed=0)
    delta = draws - baseline_rows(draws).to_numpy()
    assert (delta.xs("copy", level="method") == 0).all(axis=None)


def test_one_fact_or_no_resamples_give_a_value_without_interval() -> None:
    rows = results(facts=1)
    bounds = intervals(resampled_means(rows, KEYS, resamples=20, seed=0), 0.95)
    assert bounds["value"].notna().all() and bounds[["low", "high"]].isna().all(axis=None)
    bounds = intervals(resampled_means(results(), KEYS, resamples=0, seed=0), 0.95)
    assert bounds["value"].notna().all() and bounds[["low", "high"]].isna().all(axis=None)


def test_unscored_cells_and_facts_of_other_cells_do_no_harm() -> None:
    rows = results(facts=6)
    rows.loc[rows["method"] == "yapo", "score"] = np.nan
    alone = results(3, facts=2, countries=("egypt",)).assign(question_id=lambda frame: "own-" + frame["question_id"])
    bounds = intervals(resampled_means(pd.concat([rows, alone]), KEYS, resamples=200, seed=0), 0.95)
    assert bounds.xs("yapo", level="method").drop("egypt", level="country").isna().all(axis=None)
    egypt = bounds.xs("egypt", level="country")
    assert egypt.notna().all(axis=None)  # resamples without its two facts are left out
    assert (egypt["low"] <= egypt["value"]).all() and (egypt["value"] <= egypt["high"]).all()


@pytest.mark.parametrize(
    ("score", "facts", "top", "expected"),
    [
        (100.0, 31, 100.0, (88.8, 100.0)),
        (0.0, 31, 100.0, (0.0, 11.2)),
        (10.0, 31, 10.0, (8.88, 10.0)),
        (0.0, 4, 1.0, (0.0, 0.602)),
    ],
)
def test_equal_facts_have_clopper_and_pearsons_interval(
    score: float, facts: int, top: float, expected: tuple[float, float]
) -> None:
    rows = pd.DataFrame({"cell": "x", "question_id": [f"f{i}" for i in range(facts)] * 2, "score": score})
    draws = resampled_means(rows, ["cell"], resamples=50, seed=0)
    bounds = intervals(draws, 0.95, facts=[facts], span=(0.0, top)).iloc[0]
    assert (bounds["low"], bounds["high"]) == pytest.approx(expected, abs=6e-4 * top)
    # The bound itself: were that many of all facts otherwise, so many alike ones would be seen with probability 2.5 %.
    assert (1 - unseen_share(facts, 0.95)) ** facts == pytest.approx(0.025)


def test_an_interval_that_is_none_at_an_edge_is_the_percentile_interval() -> None:
    draws = resampled_means(results(), KEYS, resamples=100, seed=0)
    told = intervals(draws, 0.95, facts=np.full(len(draws), 12), span=(0.0, 1.0))
    pd.testing.assert_frame_equal(told, intervals(draws, 0.95))
    assert not alike(draws).any()


def test_differences_of_cells_at_the_edge_are_no_points() -> None:
    rows = results(facts=31).assign(score=1.0)
    rows.loc[rows["country"] == "nepal", "score"] = (rows["method"] == "yapo").astype(float)
    draws = resampled_means(rows, KEYS, resamples=20, seed=0)
    bounds = intervals(draws, 0.95, facts=np.full(len(draws), 31), span=(0.0, 1.0))
    found = differences(draws, baseline_rows(draws), bounds, baseline_rows(bounds), 0.95).round(3)
    assert found.loc[("Hindi", "india", "mcq", "localized", "yapo")].tolist() == [0.0, -0.112, 0.112]
    assert found.loc[("Hindi", "nepal", "mcq", "localized", "yapo")].tolist() == [1.0, 0.841, 1.0]
    assert found.loc[("Hindi", "nepal", "mcq", "localized", "baseline")].tolist() == [0.0, 0.0, 0.0]


def test_impossible_input_is_refused() -> None:
    with pytest.raises(YapoError, match="no scored rows"):
        resampled_means(results().iloc[:0], KEYS, resamples=5, seed=0)
    with pytest.raises(YapoError, match="resamples is -1"):
        resampled_means(results(), KEYS, resamples=-1, seed=0)
    with pytest.raises(YapoError, match="confidence is 95"):
        intervals(resampled_means(results(), KEYS, resamples=5, seed=0), 95)
