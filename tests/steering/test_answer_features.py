"""Pooled features of answers against a walk over the tokens of each pair."""

from __future__ import annotations

import pytest
import torch

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.answer_features import Pool, Side, feature_sums

from .methods.inputs import LAYER, PAIRS


def plain_pooled(lm: LanguageModel, sae: SAE, row: int, side: Side, pool: Pool) -> torch.Tensor:
    """Run prompt and answer alone; pool the codes of the tokens from the last of the prompt to the last but one of the answer."""
    pair = PAIRS[row]
    answer = pair.chosen if side == "chosen" else pair.rejected
    ids = torch.tensor([pair.prompt + answer[:-1]])
    positions = torch.arange(ids.shape[1])[None]
    allowed = torch.ones(1, ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
    hidden = lm.blocks(lm.embed(ids), 0, LAYER + 1, positions, lm.masks(allowed, positions, positions))
    codes = sae.encode(hidden[0, len(pair.prompt) - 1 :])
    return codes.max(dim=0).values if pool == "max" else codes.mean(dim=0)


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_sums_over_answers(lm: LanguageModel, sae: SAE, side: Side, pool: Pool) -> None:
    store, rows = build_store(lm, LAYER, sae, PAIRS, batch_size=4), [0, 2, 3, 5]
    sums = feature_sums(store, rows, side, pool, sae.d_sae)
    pooled = torch.stack([plain_pooled(lm, sae, row, side, pool) for row in rows]).double()
    assert sums.n == 4
    torch.testing.assert_close(sums.mean, pooled.mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sums.squares, pooled.square().sum(dim=0), rtol=1e-4, atol=1e-5)
    assert sums.fired.tolist() == (pooled > 0).sum(dim=0).tolist()
    assert 0 < sums.fired.sum() < sums.fired.numel() * 4
