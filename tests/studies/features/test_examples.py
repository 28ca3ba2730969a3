"""Strongest examples and what features keep of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.vector import SteeringVector
from yapo.studies.features.effects import Texts, activations, measure_effects, steered
from yapo.studies.features.examples import agreement, find_examples, kept_mass, strongest

from .test_effects import store_of, vector_of

codes = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5])), max_size=25)
labels = st.lists(st.sampled_from("abcd"), max_size=8)


@given(codes, st.integers(1, 5))
def test_strongest_takes_one_token_of_each_fact(tokens: list[tuple[int, float]], n: int) -> None:
    fact, activation = np.array([f for f, _ in tokens], dtype=np.int64), np.array([a for _, a in tokens], dtype=np.float32)
    best = {f: max(((a, -i) for i, (g, a) in enumerate(tokens) if g == f and a > 0), default=None) for f in set(fact.tolist())}
    expected = sorted((found for found in best.values() if found), reverse=True)[:n]
    assert strongest(activation, fact, n).tolist() == [-place for _, place in expected]


@given(labels, labels)
def test_agreement_pairs_examples_one_to_one(a: list[str], b: list[str]) -> None:
    left, matched = list(b), 0
    for label in a:
        if label in left:
            left.remove(label)
            matched += 1
    found = agreement(a, b)
    if not a and not b:
        assert math.isnan(found)
    else:
        assert found == matched / max(len(a), len(b))
        assert found == agreement(b, a)
        assert agreement(a or b, a or b) == 1


@given(st.lists(st.floats(0.125, 8, width=32), min_size=1, max_size=20), st.floats(0.5, 4, width=32))
def test_kept_mass(values: list[float], factor: float) -> None:
    before = np.array(values, dtype=np.float32)
    assert kept_mass(before, factor * before) == pytest.approx(1, abs=1e-5)  # scaling moves nothing
    apart = np.concatenate([before, 0 * before])
    assert kept_mass(apart, apart[::-1]) == 0
    assert 0 < kept_mass(before, np.roll(before, 1) + np.float32(1)) <= 1 + 1e-6
    assert math.isnan(kept_mass(before, 0 * before)) and math.isnan(kept_mass(0 * before, before))


def test_kept_mass_of_a_feature_that_starts_to_fire_everywhere() -> None:
    before = np.array([4, 0, 0, 0], dtype=np.float32)
    assert kept_mass(before, before + np.float32(2)) == pytest.approx(6 / 12)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_a_feature_looked_at_before_and_during_steering(gemma: LanguageModel, sae: SAE, space: str) -> None:
    texts = Texts.of(store_of(gemma, sae), [0, 1, 2])
    vector = vector_of(sae, space)
    measured = measure_effects(vector, sae, texts, top=12)
    fact = texts.pair.numpy()
    seen = find_examples(vector, sae, texts, measured.top, fact, fact, n=3, seed=0)
    before = activations(sae, texts.hidden, measured.top).numpy()
    during = activations(sae, steered(vector, sae, texts), measured.top).numpy()
    assert [item.feature for item in seen] == measured.top.tolist()
    assert not {item.control for item in seen} & {item.feature for item in seen}
    for place, item in enumerate(seen):
        assert item.fires == pytest.approx((before[:, place] > 0).mean())
        assert item.fires_during == pytest.approx((during[:, place] > 0).mean())
        np.testing.assert_array_equal(item.values_during, during[item.during, place])
        alive = item.fires > 0 and item.fires_during > 0
        assert math.isnan(item.kept_tokens) == math.isnan(item.kept_mass) == (not alive)
        if alive:
            own, now = texts.ids[item.before].tolist(), texts.ids[item.during].tolist()
            assert item.kept_tokens == agreement(own, now)
            assert item.kept_mass == pytest.approx(kept_mass(before[:, place], during[:, place]))
    assert any(item.fires > 0 and item.fires_during > 0 for item in seen)


def test_a_dense_vector_cannot_reorder_a_features_examples(gemma: LanguageModel, sae: SAE) -> None:
    """It shifts the feature's input by the same amount at every token: raised, all that fired fires on in its order."""
    texts = Texts.of(store_of(gemma, sae), [0, 1, 2])
    fact = texts.pair.numpy()
    codes = sae.encode(texts.hidden)
    everywhere = [f for f in range(sae.d_sae) if all((codes[texts.pair == pair, f] > 0).any() for pair in (0, 1, 2))]
    assert len(everywhere) >= 3
    for feature in everywhere:
        up = sae.W_enc[:, feature]  # the one direction that this feature reads
        vector = SteeringVector(0.7 * up / up.square().sum(), replace(vector_of(sae, "dense").info, multiplier=1.0))
        (item,) = find_examples(vector, sae, texts, torch.tensor([feature]), fact, fact, n=3, seed=0)
        assert len(item.before) == 3 and item.fires_during >= item.fires
        assert item.during.tolist() == item.before.tolist() and item.kept_tokens == 1
        np.testing.assert_allclose(item.values_during - item.values, 0.7, rtol=1e-4)


def test_a_vector_that_does_nothing_shows_nothing(gemma: LanguageModel, sae: SAE) -> None:
    texts = Texts.of(store_of(gemma, sae), [0, 1, 2])
    vector = vector_of(sae, "sparse", multiplier=0.0)
    measured = measure_effects(vector, sae, texts, top=4)
    assert torch.equal(steered(vector, sae, texts), texts.hidden)
    assert find_examples(vector, sae, texts, measured.top, texts.pair.numpy(), texts.pair.numpy(), n=3, seed=0) == []
