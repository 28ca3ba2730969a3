"""Places of a text that two tokenizers share, and the states there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.conftest import ROOT
from tests.refusals import refused
from yapo.models.language_model import LanguageModel
from yapo.models.shared_text import paired_states, text_states, token_places
from yapo.models.tokenizer import ChatTokenizer

CHATS = [("ما الحلوى التي تقدم في الأعياد؟", "بص، كحك العيد"), ("What is served?", "Mate, 茶 and naïve cake")]


@pytest.fixture(scope="module")
def tokenizers() -> list[ChatTokenizer]:
    folders = [ROOT / "world" / "model", ROOT / "world" / "assistant" / "model"]
    return [ChatTokenizer(AutoTokenizer.from_pretrained(folder)) for folder in folders]


@pytest.mark.parametrize("chat", CHATS)
def test_a_place_is_the_end_of_a_token(tokenizers: list[ChatTokenizer], chat: tuple[str, str]) -> None:
    for tokenizer in tokenizers:
        ids, places = token_places(tokenizer, *chat)
        prompt = tokenizer.prompt(chat[0])
        assert ids[: len(prompt)] == prompt
        assert ids[len(prompt) :][: len(tokenizer.response(chat[1]))] == tokenizer.response(chat[1])
        assert places["answer", 0] == len(prompt) - 1
        for (part, end), token in places.items():
            before = tokenizer.tokenizer.decode(ids[: token + 1])
            assert before.endswith(chat[part == "answer"][:end])
    shared = set(places) & set(token_places(tokenizers[0], *chat)[1])
    assert {("question", len(chat[0])), ("answer", 0), ("answer", len(chat[1]))} <= shared


@settings(max_examples=100, deadline=None)
@example("<")  # stands in the template too
@example("model")
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12))
def test_every_text_ends_at_a_place(tokenizers: list[ChatTokenizer], word: str) -> None:
    for tokenizer in tokenizers:
        _, places = token_places(tokenizer, f"Say {word}", word)
        assert {("question", len(word) + 4), ("answer", len(word))} <= set(places)


def test_states_are_paired_by_place(lm: LanguageModel, tmp_path: Path) -> None:
    one = text_states(lm, 1, CHATS, 2, 512, tmp_path)
    fewer = text_states(lm, 2, [CHATS[0], ("Why?", "So")], 1, 512, tmp_path)
    source, target = paired_states(one, fewer)
    shared = [place for place in sorted(one.rows) if place in fewer.rows]
    assert {number for number, _ in shared} == {0, 1}
    for layer, states, chats in ((1, source, CHATS), (2, target, [CHATS[0], ("Why?", "So")])):
        for row, (number, place) in zip(states, shared, strict=True):
            ids, places = token_places(lm.tokenizer, *chats[number])
            hidden = lm.model.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer + 1][0, places[place]]
            torch.testing.assert_close(row, hidden, atol=1e-4, rtol=1e-4)


def test_chats_that_are_too_long_are_left_out(gemma: LanguageModel, tmp_path: Path) -> None:
    length = len(token_places(gemma.tokenizer, "Why?", "So")[0])
    kept = text_states(gemma, 1, [CHATS[0], ("Why?", "So")], 2, length, tmp_path)
    assert {number for number, _ in kept.rows} == {1}
    refused(
        lambda: text_states(gemma, 1, CHATS, 2, 3, tmp_path), "model.max_prompt_tokens=3: no chat is that short for tiny gemma2"
    )
