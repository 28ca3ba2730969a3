"""Effects of a vector on features: every number against the formula as written, on real states of a small model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.pair_batch import TokenPair
from yapo.steering.vector import SteeringVector, VectorInfo
from yapo.studies.features.effects import (
    Texts,
    activations,
    controls,
    dense_effects,
    effective_number,
    intervention_of,
    measure_effects,
    sparse_effects,
    steered,
    strongest_features,
)

from ...conftest import random_sae

LAYER = 1
PAIRS = [
    TokenPair([2, 9, 11, 30, 7], [12, 40, 41, 8], [13, 8]),
    TokenPair([2, 50, 51], [60, 61, 62, 8], [70, 71, 72, 73, 8]),
    TokenPair([2, 9, 90, 91, 92, 93, 94], [95, 8], [96, 8]),
]


def store_of(lm: LanguageModel, sae: SAE) -> ActivationStore:
    return build_store(lm, LAYER, sae, PAIRS, batch_size=3)


@pytest.fixture(scope="module")
def store(gemma: LanguageModel, sae: SAE) -> ActivationStore:
    return store_of(gemma, sae)


@pytest.fixture(scope="module")
def texts(store: ActivationStore) -> Texts:
    return Texts.of(store, [0, 1, 2])


def random_values(width: int, seed: int = 1) -> Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(seed))


def vector_of(sae: SAE, space: str, threshold: str = "relu", multiplier: float = 1.5) -> SteeringVector:
    digest = sae.digest if space == "sparse" else ""
    info = VectorInfo("any", space, LAYER, "tiny", "", "an sae", digest, multiplier=multiplier, threshold=threshold)
    return SteeringVector(random_values(sae.d_sae if space == "sparse" else sae.d_model), info)


def test_texts_are_prompts_with_their_right_answers(gemma: LanguageModel, store: ActivationStore, sae: SAE) -> None:
    texts = Texts.of(store, [2, 0])
    assert texts.ids.tolist() == [9, 90, 91, 92, 93, 94, 95, 9, 11, 30, 7, 12, 40, 41]
    assert texts.pair.tolist() == [2] * 7 + [0] * 7
    assert texts.place.tolist() == [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7]
    codes = torch.zeros(len(texts), sae.d_sae)
    codes[texts.token, texts.feature] = texts.value
    torch.testing.assert_close(codes, sae.encode(texts.hidden))
    torch.testing.assert_close(texts.firing(sae.d_sae), (codes > 0).float().mean(dim=0))
    torch.testing.assert_close(texts.mean_activation(sae.d_sae), codes.mean(dim=0))
    alone = gemma.model(input_ids=torch.tensor([PAIRS[0].prompt + PAIRS[0].chosen]), output_hidden_states=True)
    torch.testing.assert_close(texts.hidden[-7:], alone.hidden_states[LAYER + 1][0, 1:8], rtol=1e-4, atol=1e-4)


def sparse_effects_plain(texts: Texts, u: Tensor, sae: SAE, threshold: str) -> Tensor:
    """The formula as written, with dense codes."""
    codes = torch.zeros(len(texts), sae.d_sae)
    codes[texts.token, texts.feature] = texts.value
    moved = codes + u
    theta = sae.threshold if threshold == "jumprelu" and sae.threshold is not None else torch.zeros(sae.d_sae)
    return (moved * (moved > theta) - codes).mean(dim=0) * sae.W_dec.norm(dim=1)


@pytest.mark.parametrize("threshold", ["relu", "jumprelu"])
def test_sparse_effects_equal_the_formula(texts: Texts, sae: SAE, threshold: str) -> None:
    wide = replace(sae, W_dec=sae.W_dec * torch.linspace(0.5, 2, sae.d_sae)[:, None])
    for seed in range(4):
        u = random_values(sae.d_sae, seed) * (random_values(sae.d_sae, seed + 9) > 0)
        found = sparse_effects(texts, u, wide, threshold)
        torch.testing.assert_close(found, sparse_effects_plain(texts, u, wide, threshold), rtol=1e-5, atol=1e-6)
        if threshold == "relu":
            length = wide.W_dec.norm(dim=1)
            up = u > 0
            torch.testing.assert_close(found[up], (u * length)[up])  # a positive entry adds itself everywhere
            floor = -texts.mean_activation(sae.d_sae) * length  # a negative one takes away what is there at most
            assert (found[u < 0] >= floor[u < 0] - 1e-6).all()
            assert found[u == 0].eq(0).all()


def test_dense_effects_are_mean_changes_of_the_codes(gemma: LanguageModel, any_sae: SAE) -> None:
    texts = Texts.of(store_of(gemma, any_sae), [0, 1, 2])
    u = random_values(any_sae.d_model)
    expected = (any_sae.encode(texts.hidden + u) - any_sae.encode(texts.hidden)).mean(dim=0) * any_sae.W_dec.norm(dim=1)
    torch.testing.assert_close(dense_effects(texts, u, any_sae), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("space", "threshold"), [("dense", "relu"), ("sparse", "relu"), ("sparse", "jumprelu")])
def test_the_direction_is_the_mean_change_of_the_residual_stream(texts: Texts, sae: SAE, space: str, threshold: str) -> None:
    vector = vector_of(sae, space, threshold)
    measured = measure_effects(vector, sae, texts, top=5)
    changes = steered(vector, sae, texts) - texts.hidden
    torch.testing.assert_close(measured.change, changes.mean(dim=0), rtol=1e-4, atol=1e-5)
    assert measured.top.tolist() == measured.effect.abs().argsort(descending=True)[:5].tolist()


def test_a_vector_of_another_autoencoder_is_refused(sae: SAE) -> None:
    with pytest.raises(YapoError, match="the vector was trained with the autoencoder an sae"):
        intervention_of(vector_of(sae, "sparse"), random_sae("relu"))


def test_activations_of_some_features(texts: Texts, any_sae: SAE) -> None:
    features = torch.tensor([40, 3, 17])
    torch.testing.assert_close(activations(any_sae, texts.hidden, features), any_sae.encode(texts.hidden)[:, features])


def test_strongest_features_leave_out_those_without_effect() -> None:
    assert strongest_features(torch.tensor([0.0, -3.0, 1.0, 0.0, 3.0]), top=4).tolist() == [1, 4, 2]
    assert strongest_features(torch.zeros(3), top=2).tolist() == []


@given(st.integers(1, 50), st.integers(0, 50), st.floats(0.01, 100))
def test_effective_number_counts_equal_effects(n: int, zeros: int, size: float) -> None:
    effect = torch.cat([torch.full((n,), size), torch.zeros(zeros)])
    effect[::2] *= -1
    assert effective_number(effect) == pytest.approx(n, rel=1e-4)
    assert effective_number(torch.zeros(4)) == 0


@given(st.lists(st.floats(-10, 10).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=30))
def test_effective_number_lies_between_one_and_all(values: list[float]) -> None:
    assert 1 - 1e-4 <= effective_number(torch.tensor(values)) <= len(values) * (1 + 1e-4)


def test_controls_fire_about_as_often_and_are_none_of_the_features() -> None:
    firing = torch.cat([torch.linspace(0, 1, 101), torch.zeros(20)])
    features = torch.tensor([10, 50, 90])
    found = controls(firing, features, seed=3, near=6)
    assert (firing[found] > 0).all()
    assert set(found.tolist()).isdisjoint(features.tolist())
    assert (firing[found] - firing[features]).abs().max() < 0.035
    assert controls(firing, features, seed=3, near=6).equal(found)
    assert len({tuple(controls(firing, features, seed, near=6).tolist()) for seed in range(8)}) > 1
    with pytest.raises(YapoError, match=r"studies.features.top=3: no other feature fires"):
        controls((firing > 2).float().index_fill(0, features, 1.0), features, seed=0)
