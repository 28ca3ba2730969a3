"""The gain of held-out chosen answers, against the library's own forward pass under ``yapo.steer``."""

from __future__ import annotations

import pytest
import torch

import yapo
from yapo.discovery.held_out_pairs import MULTIPLIERS, best_multiplier, chosen_gain, gains_by_layer
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.interventions import Sparse
from yapo.steering.pair_batch import TokenPair
from yapo.steering.vector import SteeringVector, VectorInfo

LAYER = 1
PAIRS = [
    TokenPair([2, 9, 11, 30], [7, 12, 4], [8, 12, 4]),
    TokenPair([2, 5, 6], [20, 4], [21, 22, 4]),
    TokenPair([2, 40, 41, 42, 43], [50, 51, 52, 4], [50, 53, 4]),
]


def log_prob(lm: LanguageModel, pair: TokenPair) -> float:
    """Log-probability of the chosen answer, of all its tokens."""
    ids = torch.tensor([pair.prompt + pair.chosen])
    with torch.no_grad():
        logs = lm.model(ids).logits[0].float().log_softmax(dim=-1)
    start = len(pair.prompt)
    return sum(float(logs[start + i - 1, token]) for i, token in enumerate(pair.chosen))


def test_the_gain_is_that_of_the_library_under_steering(lm: LanguageModel, sae: SAE) -> None:
    u = torch.randn(64, generator=torch.Generator().manual_seed(1))
    vector = SteeringVector(u, VectorInfo("yapo", "sparse", LAYER, "tiny", "", sae="random", sae_digest=sae.digest))
    store = build_store(lm, LAYER, sae, PAIRS, batch_size=2)
    plain = [log_prob(lm, pair) for pair in PAIRS]
    with yapo.steer(lm.model, vector, 1.0, sae=sae):
        steered = [log_prob(lm, pair) for pair in PAIRS]
    rows = [0, 2]
    expected = sum((steered[i] - plain[i]) / len(PAIRS[i].chosen) for i in rows) / len(rows)
    assert chosen_gain(lm, Sparse(sae), store, rows, u, batch_size=2) == pytest.approx(expected, abs=1e-4)


def test_the_best_multiplier_has_the_largest_gain(gemma: LanguageModel, sae: SAE) -> None:
    u = torch.randn(64, generator=torch.Generator().manual_seed(2))
    store = build_store(gemma, LAYER, sae, PAIRS, batch_size=2)
    gains = {m: chosen_gain(gemma, Sparse(sae), store, [1, 2], m * u, 2) for m in MULTIPLIERS}
    best = best_multiplier(gemma, Sparse(sae), store, [1, 2], u, 2)
    assert (best.layer, best.gain) == (LAYER, max(gains.values()))
    assert gains[best.multiplier] == best.gain


def test_every_layer_that_can_be_steered_is_measured(gemma: LanguageModel) -> None:
    assert [gain.layer for gain in gains_by_layer(gemma, PAIRS, [0, 1], [2], 2)] == [0, 1, 2]


def test_without_a_difference_to_read_there_is_no_gain(gemma: LanguageModel) -> None:
    beginnings = [TokenPair(pair.prompt, [5, 4], [5, 4]) for pair in PAIRS]
    assert gains_by_layer(gemma, beginnings, [0, 1], [2], 2) == []
