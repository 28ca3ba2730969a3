"""The logit lens, against the model's own head."""

from __future__ import annotations

import torch
from torch import Tensor

from yapo.models.language_model import LanguageModel
from yapo.models.logit_lens import final_norm_weight, raised_tokens, token_logits
from yapo.models.token_text import token_name


def random_values(width: int, seed: int = 1) -> Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(seed))


def test_the_lens_orders_tokens_as_the_model_does(lm: LanguageModel) -> None:
    """For a state of the residual stream, the model's own norm and soft cap do not change which tokens are likelier."""
    states = 3 * torch.stack([random_values(lm.d_model, seed) for seed in range(3)])
    ours, own = token_logits(lm, states), lm.logits(states)
    assert ours.argsort(dim=1).equal(own.argsort(dim=1))


def test_gemmas_norm_weight_is_one_plus_what_it_stores(gemma: LanguageModel) -> None:
    norm = gemma.model.model.norm
    stored = norm.weight.clone()
    norm.weight.copy_(random_values(gemma.d_model))
    try:
        torch.testing.assert_close(final_norm_weight(gemma), 1 + norm.weight, rtol=1e-5, atol=1e-5)
        direction = random_values(gemma.d_model, seed=7)
        expected = gemma.model.lm_head.weight @ ((1 + norm.weight) * direction)
        torch.testing.assert_close(token_logits(gemma, direction[None])[0], expected, rtol=1e-4, atol=1e-4)
    finally:
        norm.weight.copy_(stored)


def test_raised_tokens_are_those_of_the_largest_logits(gemma: LanguageModel) -> None:
    directions = torch.stack([random_values(gemma.d_model), -random_values(gemma.d_model)])
    logits = token_logits(gemma, directions)
    for found, row in zip(raised_tokens(gemma, directions, 3), logits, strict=True):
        likeliest = sorted(range(len(row)), key=lambda token: -float(row[token]))[:3]
        assert found == [token_name(gemma.tokenizer.tokenizer, token) for token in likeliest]
