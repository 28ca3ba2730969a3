"""The parts of an answer: names of tokens, and events of a stream."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from tests.conftest import ROOT
from tests.models.chat_tokenizers import KINDS, make
from yapo.serving.responses import TokenNames, event


@pytest.mark.parametrize("kind", ["chatml", "gemma", "mistral", "zephyr, ▁ everywhere"])
def test_tokens_have_their_spaces(kind: str) -> None:
    """Two tokens that differ in a space alone have two names, and names join to the text."""
    tokenizer = make(KINDS[kind])
    names = TokenNames(tokenizer)
    ids = tokenizer.encode("What is one two three?", add_special_tokens=False)
    assert "".join(names.of(token).text for token in ids).strip() == "What is one two three?"
    assert all(names.of(token).is_whole for token in ids)
    assert any(names.of(token).text.startswith(" ") for token in ids)


def test_a_part_of_a_character_has_the_name_of_the_vocabulary() -> None:
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "world" / "model")
    names = TokenNames(tokenizer)
    parts = tokenizer.encode("🎉", add_special_tokens=False)
    assert len(parts) > 1
    found = [names.of(token) for token in parts]
    assert [name.text for name in found] == tokenizer.convert_ids_to_tokens(parts)
    assert not any(name.is_whole for name in found)
    assert names.of(tokenizer.eos_token_id).text == tokenizer.eos_token


def test_an_event_is_one_line_for_every_client() -> None:
    text = "a\u2028b\x85c\nd\re"
    sent = event({"text": text})
    assert len(sent.decode().splitlines()) == 2  # and the empty one that ends it
    assert json.loads(sent.removeprefix(b"data: "))["text"] == text
    assert event("[DONE]") == b"data: [DONE]\n\n"
