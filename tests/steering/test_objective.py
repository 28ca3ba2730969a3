"""Pairs under a scaled vector, against the plain equations of ``test_trainer``."""

from __future__ import annotations

import pytest
import torch

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.objective import measure_pairs

from .training.test_trainer import CONFIG, LAYER, PAIRS, plain_losses


@pytest.mark.parametrize("steer_bos", [False, True])
@pytest.mark.parametrize("space", ["dense", "sparse"])
@pytest.mark.parametrize("rows_per_pass", [1, 3, 64])
def test_margin_and_displacement_of_each_pair(
    gemma: LanguageModel, any_sae: SAE, space: str, steer_bos: bool, rows_per_pass: int
) -> None:
    store = build_store(gemma, LAYER, any_sae, PAIRS, 4)
    intervention = Dense(32) if space == "dense" else Sparse(any_sae)
    u = 0.3 * torch.randn(intervention.width, generator=torch.Generator().manual_seed(1))
    chosen = [3, 0, 2]
    margins, moved = measure_pairs(gemma, LAYER, intervention, store, chosen, u, steer_bos, rows_per_pass)
    losses = -torch.nn.functional.logsigmoid(CONFIG.beta * margins)
    pairs = [PAIRS[i] for i in chosen]
    expected = plain_losses(gemma, any_sae if space == "sparse" else None, pairs, u, 1.0, steer_bos)
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-5, atol=1e-5)
    for place, i in enumerate(chosen):
        h = store.hidden[i][None]
        live = torch.arange(h.shape[1])[None] >= (0 if steer_bos else 1)
        assert float(moved[place]) == pytest.approx(intervention.displacement(h, u, live), rel=1e-4)


def test_a_vector_of_zeros_gives_no_margin(gemma: LanguageModel, sae: SAE) -> None:
    store = build_store(gemma, LAYER, sae, PAIRS, 4)
    margins, moved = measure_pairs(gemma, LAYER, Sparse(sae), store, [0, 1], torch.zeros(64), False, 2)
    assert margins.tolist() == pytest.approx([0.0, 0.0], abs=1e-4)
    assert moved.tolist() == [0.0, 0.0]
