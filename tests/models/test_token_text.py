"""Tokens in their surroundings: nothing lost, nothing broken, in every script of the atlas."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapo.models.token_text import BROKEN, END, LEFT_TO_RIGHT, MARKS, token_name, window
from yapo.models.tokenizer import ChatTokenizer

TEXTS = (
    "ماذا يأكل الناس عادة في الفطور؟ بص، فول وطعمية",
    "नेपाल में शादी में एक पक्ष दूसरे को क्या देता है? हजुर, चिउरा",
    "¿Qué se desayuna? Órale, pan dulce\tcafé",
    "O que é o almoço de domingo? Ora, feijoada 🎉",
)


def plain(text: str) -> str:
    return text.replace(LEFT_TO_RIGHT, "").replace(END, "")


@given(st.sampled_from(TEXTS), st.integers(0, 200), st.integers(8, 60))
def test_a_window_is_the_text_around_a_token(tokenizer: ChatTokenizer, text: str, place: int, width: int) -> None:
    ids = tokenizer.prompt(text)
    place %= len(ids)
    found = window(tokenizer.tokenizer, ids, place, width)
    whole = "".join(MARKS.get(letter, letter) for letter in tokenizer.tokenizer.decode(ids, skip_special_tokens=False))
    before, token, after = plain(found.before).lstrip("…"), plain(found.token), plain(found.after).rstrip("…")
    assert token
    if token != "␣":
        assert before + token + after in whole
    assert BROKEN not in before + token + after
    assert not any(unicodedata.category(part[0]).startswith("M") for part in (before, token, after) if part)
    if width >= len(ids):
        assert (found.before.startswith("…"), found.after.endswith("…")) == (False, False)
        assert token == "␣" or before + token + after == whole


def test_a_part_of_a_character_is_widened_to_the_whole(tokenizer: ChatTokenizer) -> None:
    ids = tokenizer.prompt("🎉")
    alone = [place for place, token in enumerate(ids) if BROKEN in tokenizer.tokenizer.decode([token])]
    assert len(alone) > 1  # the party popper is in pieces
    assert {window(tokenizer.tokenizer, ids, place, 6).token.strip() for place in alone} == {"🎉"}


@pytest.mark.parametrize("text", TEXTS[:2])
def test_special_tokens_stay_together_in_text_of_the_other_direction(tokenizer: ChatTokenizer, text: str) -> None:
    ids = tokenizer.prompt(text)
    found = window(tokenizer.tokenizer, ids, len(ids) // 2, len(ids))
    assert f"{LEFT_TO_RIGHT}<end_of_turn>{END}⏎{LEFT_TO_RIGHT}<start_of_turn>{END}model⏎" in found.after


def test_names_of_tokens(tokenizer: ChatTokenizer) -> None:
    names = {token_name(tokenizer.tokenizer, token) for token in range(len(tokenizer.tokenizer))}
    assert {"<end_of_turn>", "⏎", "·"} <= names
    assert not any(BROKEN in name or " " in name for name in names if not name.startswith("part of a character (#"))
    assert sum(name.startswith("part of a character (#") for name in names) > 50
    assert "" not in names
