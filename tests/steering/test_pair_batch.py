"""The tree layout and the upper-only pass against two plain forward passes of the whole model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.models.language_model import LanguageModel
from yapo.steering.pair_batch import TokenPair, answer_log_probs, batch_pairs

# Prompts longer and shorter than the sliding window of 6, answers of one token, cut answers, uneven lengths.
PAIRS = [
    TokenPair([2, 9, 11, 30, 7, 12, 40, 41, 8], [15, 16, 5], [17, 18, 19, 20, 5]),
    TokenPair([2, 9, 8], [21, 5], [22, 5]),
    TokenPair([2, 31, 32, 33, 34, 35, 8], [23, 24, 25, 26, 27, 5], [28, 29]),
    TokenPair([2, 8], [5], [29, 30, 5]),
]


def plain_log_prob(lm: LanguageModel, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Sum over answer tokens of log softmax of the full model's logits, from the definition."""
    logits = lm.model(input_ids=torch.tensor([prompt + answer])).logits[0].float()
    log_probs = torch.log_softmax(logits, dim=-1)
    return torch.stack([log_probs[len(prompt) - 1 + i, token] for i, token in enumerate(answer)]).sum()


def states(lm: LanguageModel, layer: int, pairs: list[TokenPair]) -> torch.Tensor:
    """Residual stream after a block in the tree layout, ``[pairs, T, d_model]``."""
    batch = batch_pairs(pairs)
    ids = batch.packed([torch.tensor(pair.tokens) for pair in pairs])
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    return lm.blocks(lm.embed(ids), 0, layer + 1, batch.positions, masks)


@pytest.mark.parametrize("order", [[0], [3], [2, 0, 3, 1]])
def test_equals_two_full_passes(lm: LanguageModel, order: list[int]) -> None:
    pairs = [PAIRS[i] for i in order]
    expected = torch.stack(
        [torch.stack([plain_log_prob(lm, p.prompt, p.chosen), plain_log_prob(lm, p.prompt, p.rejected)]) for p in pairs]
    )
    for layer in range(lm.n_layers):
        found = answer_log_probs(lm, states(lm, layer, pairs), layer, batch_pairs(pairs))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


token = st.integers(6, 60)
answer = st.lists(token, min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.builds(TokenPair, st.lists(token, min_size=1, max_size=12), answer, answer), min_size=1, max_size=4))
def test_any_shape(gemma: LanguageModel, pairs: list[TokenPair]) -> None:
    found = answer_log_probs(gemma, states(gemma, 1, pairs), 1, batch_pairs(pairs))
    with torch.no_grad():
        expected = [[float(plain_log_prob(gemma, p.prompt, side)) for side in (p.chosen, p.rejected)] for p in pairs]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_an_answer_reads_its_prompt_and_itself_only() -> None:
    pair = TokenPair([1, 2], [3, 4, 5], [6, 7, 8])
    batch = batch_pairs([pair])
    assert pair.tokens == [1, 2, 3, 4, 6, 7]
    assert batch.positions[0].tolist() == [0, 1, 2, 3, 2, 3]
    assert batch.allowed[0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 1],
    ]
    assert batch.read.tolist() == [[1, 2, 3, 4, 5]]
    assert batch.source.tolist() == [0, 1, 2, 0, 3, 4]
    assert batch.target.tolist() == [3, 4, 5, 6, 7, 8]
    assert batch.owner.tolist() == [0, 0, 0, 1, 1, 1]


def test_short_pairs_share_a_row_and_cannot_see_each_other() -> None:
    pairs = [TokenPair([1], [2], [3]), TokenPair([1, 2, 3, 4], [5, 6], [7]), TokenPair([1, 2], [3, 4], [5])]  # 1, 5 and 3 tokens
    batch = batch_pairs(pairs)
    assert batch.packed([torch.tensor(pair.tokens) for pair in pairs]).tolist() == [[1, 2, 3, 4, 5], [1, 2, 3, 1, 0]]
    assert batch.pair.tolist() == [[1, 1, 1, 1, 1], [2, 2, 2, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 0, 0]]
    assert batch.real.int().tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert batch.order() == [1, 2, 0]
    assert not batch.allowed[1, 3, :3].any()
    assert not batch.allowed[1, :3, 3].any()
    assert batch.read.tolist() == [[3, 4, 0], [3, 1, 2]]
    assert batch.source.tolist() == [3, 3, 0, 1, 0, 4, 5, 4]
    assert batch.owner.tolist() == [0, 1, 2, 2, 3, 4, 4, 5]
