"""Maps between models: each recovers a map of its own kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import ortho_group

from yapo.steering.maps import Floats, match_features, procrustes_map, random_map, ridge_map

WIDTHS = st.integers(2, 8)
SEEDS = st.integers(0, 2**16)


def states(width: int, seed: int, n: int = 60) -> Floats:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, width)) * generator.uniform(0.5, 2.0, width) + generator.normal(size=width)


@settings(max_examples=25, deadline=None)
@given(WIDTHS, WIDTHS, SEEDS)
def test_ridge_recovers_a_linear_map(d_source: int, d_target: int, seed: int) -> None:
    x, weights = states(d_source, seed), np.random.default_rng(seed + 1).normal(size=(d_source, d_target))
    found = ridge_map(x, x @ weights + 3.0)
    np.testing.assert_allclose(found.weights, weights, atol=1e-3)
    held_out = states(d_source, seed + 2)
    assert found.explained_variance(held_out, held_out @ weights + 3.0) == pytest.approx(1.0, abs=1e-4)


def test_ridge_shrinks_where_there_is_nothing_to_learn() -> None:
    x, y = states(6, 0, 20), states(4, 1, 20)
    least_squares = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0), rcond=None)[0]
    assert np.linalg.norm(ridge_map(x, y).weights) < 0.7 * np.linalg.norm(least_squares)


@settings(max_examples=25, deadline=None)
@given(WIDTHS, SEEDS, st.floats(0.1, 10.0))
def test_procrustes_recovers_a_rotation(width: int, seed: int, scale: float) -> None:
    x, rotation = states(width, seed), ortho_group.rvs(width, random_state=seed) if width > 1 else np.eye(1)
    found = procrustes_map(x, scale * x @ rotation - 2.0)
    np.testing.assert_allclose(found.weights, scale * rotation, atol=1e-8 * scale)


@settings(max_examples=25, deadline=None)
@given(WIDTHS, WIDTHS, SEEDS)
def test_procrustes_between_unequal_widths(d_source: int, d_target: int, seed: int) -> None:
    x, least = states(d_source, seed), min(d_source, d_target)
    y = states(d_target, seed + 1)
    weights = procrustes_map(x, y).weights
    gram = weights @ weights.T if d_source <= d_target else weights.T @ weights
    np.testing.assert_allclose(gram, gram[0, 0] * np.eye(least), atol=1e-9)
    if d_source <= d_target:  # an embedding is recovered
        embedding = ortho_group.rvs(d_target, random_state=seed)[:d_source]
        np.testing.assert_allclose(procrustes_map(x, x @ embedding).weights, embedding, atol=1e-8)


def test_the_random_map_keeps_lengths_and_follows_its_seed() -> None:
    x, y = states(5, 0), states(5, 1)
    one, again, other = (random_map(x, y, seed).weights for seed in (0, 0, 1))
    np.testing.assert_allclose(one @ one.T, np.eye(5), atol=1e-12)
    assert (one == again).all() and not np.allclose(one, other)


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 12), SEEDS)
def test_matching_recovers_a_permutation(features: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.exponential(size=(200, features)) * (generator.random((200, features)) < 0.3)
    order, scale = generator.permutation(features), generator.uniform(0.5, 2.0, features)
    other = np.zeros((200, features + 2))  # two more features that never fire
    other[:, order] = codes * scale
    found = match_features(csr_array(codes), csr_array(other))
    assert found.source.tolist() == list(range(features))
    assert found.target.tolist() == order.tolist()
    np.testing.assert_allclose(found.correlation, 1.0)
    values = generator.normal(size=features)
    expected = np.zeros(features + 2)
    expected[order] = values * scale
    np.testing.assert_allclose(found.carry(values), expected)
    assert found.kept(values) == pytest.approx(1.0)


def test_only_mutual_matches_with_a_positive_correlation_count() -> None:
    generator = np.random.default_rng(0)
    first, half, last = generator.random((3, 300)) < 0.5
    source = np.stack([first, first & half, last], axis=1).astype(float)
    target = np.stack([first, ~last], axis=1).astype(float)
    found = match_features(csr_array(source), csr_array(target))
    plain = np.corrcoef(source.T, target.T)[:3, 3:]
    assert plain[1].argmax() == 0  # the second feature's nearest, which is nearer to the first
    assert plain[2].max() < 0.2
    assert (found.source.tolist(), found.target.tolist()) == ([0], [0])
    np.testing.assert_allclose(found.correlation, plain[0, 0])
    assert found.kept(np.array([3.0, 4.0, 0.0])) == pytest.approx(0.6)
