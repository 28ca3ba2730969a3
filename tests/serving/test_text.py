"""Text piece by piece: whole characters, no part of a stop text, and together what the tokenizer decodes at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tests.conftest import ROOT
from tests.models.chat_tokenizers import KINDS, make
from yapo.models.token_text import BROKEN
from yapo.serving.text import AnswerText, TokenText

TEXT = "Été 🎉 in 日本: ما هو الفطور؟ आलू and 👩‍👧, at \n\n last"
WORLD = AutoTokenizer.from_pretrained(ROOT / "world" / "model")


def pieces(tokenizer: PreTrainedTokenizerBase, ids: list[int], before: list[int] | None = None) -> list[str]:
    text = TokenText(tokenizer, before or [])
    return [*(text.add(token) for token in ids), text.rest()]


@pytest.mark.parametrize("kind", ["chatml", "llama 3", "gemma", "mistral", "zephyr, ▁ everywhere", "world"])
def test_pieces_are_whole_and_join_to_the_text(kind: str) -> None:
    tokenizer = WORLD if kind == "world" else make(KINDS[kind])
    ids = list(tokenizer.encode(TEXT, add_special_tokens=False))
    parts = pieces(tokenizer, ids)
    assert "".join(parts) == tokenizer.decode(ids, skip_special_tokens=True)
    assert not any(part.endswith(BROKEN) for part in parts)
    assert len([part for part in parts if part]) > len(TEXT.split())


@pytest.mark.parametrize("kind", ["chatml", "gemma", "mistral", "zephyr, ▁ everywhere", "world"])
def test_a_continuation_keeps_its_space(kind: str) -> None:
    tokenizer = WORLD if kind == "world" else make(KINDS[kind])
    ids = list(tokenizer.encode("one two three", add_special_tokens=False))
    whole = tokenizer.decode(ids)
    for cut in range(1, len(ids)):
        assert tokenizer.decode(ids[:cut]) + "".join(pieces(tokenizer, ids[cut:], ids[:cut])) == whole


@given(st.lists(st.integers(0, len(WORLD) - 1), max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_tokens_join_to_what_is_decoded_at_once(ids: list[int]) -> None:
    """Among them bytes that are no text."""
    assert "".join(pieces(WORLD, ids)) == WORLD.decode(ids, skip_special_tokens=True)


STOPS: dict[str, tuple[tuple[str, ...], str, bool]] = {
    "none": ((), TEXT, False),
    "one of several tokens": (("日本: ما",), TEXT[: TEXT.index("日本")], True),
    "the first of two": (("الفطور", "in "), TEXT[: TEXT.index("in ")], True),
    "never whole": (("last but", "日本!"), TEXT, False),
    "the end": (("last",), TEXT[: -len("last")], True),
    "across a line break": (("\n\n",), TEXT[: TEXT.index("\n\n")], True),
}


@pytest.mark.parametrize("case", STOPS)
def test_stop_texts(case: str) -> None:
    """Nothing of a stop text is told, and what only begins like one is told in the end."""
    stop, wanted, stopped = STOPS[case]
    text, told = AnswerText(WORLD, stop), ""
    for token in WORLD.encode(TEXT, add_special_tokens=False):
        told += text.add(token)
        assert wanted.startswith(told)
        if text.stopped:
            break
    assert (told + text.rest(), text.stopped) == (wanted, stopped)
