"""Coherence of completions: the batched measure against the library's own forward pass, text by text."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yapo.models.language_model import LanguageModel
from yapo.studies.lambda_sweep.coherence import coherence, repeated

PROMPTS = ["What do people usually eat for breakfast?", "Tea?", "Where?"]
TEXTS = ["Right, Fry-up with beans", "", "tea tea tea tea tea tea tea"]


def plain_log_prob(lm: LanguageModel, prompt: list[int], text: str) -> float:
    """Mean log p of the text's tokens and the end of the turn, one text at a time."""
    end = lm.tokenizer.response(text)
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor([prompt + end])).logits[0].float().log_softmax(dim=-1)
    return float(sum(logits[len(prompt) - 1 + i, token] for i, token in enumerate(end)) / len(end))


def test_log_prob_is_the_unsteered_models(lm: LanguageModel) -> None:
    prompts = [lm.tokenizer.prompt(text) for text in PROMPTS]
    pairs = [(prompt, text) for prompt in prompts for text in TEXTS]
    expected = [plain_log_prob(lm, *pair) for pair in pairs]
    assert len({round(value, 3) for value in expected}) == len(pairs)
    for batch_size in (2, 64):
        found = coherence(lm, [prompt for prompt, _ in pairs], [text for _, text in pairs], batch_size)
        assert found["log_prob"].tolist() == pytest.approx(expected, abs=2e-4)
    again = coherence(lm, [prompts[0]] * 3, [TEXTS[0], TEXTS[2], TEXTS[0]], 2)
    assert again["log_prob"].tolist() == pytest.approx([expected[0], expected[2], expected[0]], abs=2e-4)


def test_a_loop_repeats_and_an_answer_does_not(gemma: LanguageModel) -> None:
    prompts = [gemma.tokenizer.prompt(PROMPTS[1])] * 3
    found = coherence(gemma, prompts, TEXTS, 8)["repeated"]
    assert found.tolist()[:2] == [0.0, 0.0]
    assert found[2] > 0.5


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
def test_share_of_repeated_ngrams(tokens: list[int], n: int) -> None:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    seen_before = [gram in grams[:i] for i, gram in enumerate(grams)]
    assert repeated(tokens, n) == pytest.approx(sum(seen_before) / len(grams) if grams else 0.0)


def test_of_one_token_over_and_over() -> None:
    assert repeated([7] * 10, 3) == pytest.approx(7 / 8)
    assert repeated([1, 2]) == 0.0
