"""Tokens and their surroundings for readers: whole characters, visible white space, writing direction kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

BROKEN = "\N{REPLACEMENT CHARACTER}"
LONGEST = 4  # tokens of one character at most: its bytes
LEFT_TO_RIGHT, END = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
MARKS = {"\n": "⏎", "\t": "⇥", "\r": "␍", "\N{ZERO WIDTH SPACE}": "␣", "\N{NO-BREAK SPACE}": "␣"}


@dataclass(frozen=True)
class Window:
    """A token in its surroundings: the text before it, the token, the text after it."""

    before: str
    token: str
    after: str


def token_name(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """Return the text of one vocabulary entry: spaces and line breaks are shown, and a part of a character is called so.

    Byte-level vocabularies hold pieces of characters; alone they decode to nothing readable.
    """
    text = str(tokenizer.decode([token], skip_special_tokens=False))
    if BROKEN in text:
        return f"part of a character (#{token})"
    shown = _visible(text).replace(" ", "·")
    return shown or f"#{token}"


def window(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], place: int, width: int) -> Window:
    """Return token ``place`` of a text with up to ``width`` tokens on each side.

    A token that is a part of a character, or starts with a mark that sits on the letter before, is widened to whole characters,
    so that it can be printed apart from its neighbours. The names of special tokens are kept together in right-to-left text.
    """
    special = [str(name) for name in tokenizer.all_special_tokens]

    def text(start: int, end: int) -> str:
        return str(tokenizer.decode(list(ids[start:end]), skip_special_tokens=False))

    first, last = max(0, place - width), min(len(ids), place + 1 + width)
    start, end = _whole(text, place, first, last)
    before, token, after = text(first, start), text(start, end), text(end, last).rstrip(BROKEN)
    while _hangs(before):
        before = before[1:]
    space = token[: len(token) - len(token.lstrip(" "))]
    before = (before if first == 0 else "…" + before) + space
    after = after if last == len(ids) else after + "…"
    return Window(*(_isolated(_visible(part), special) for part in (before, token[len(space) :] or "␣", after)))


def _whole(text: Callable[[int, int], str], place: int, first: int, last: int) -> tuple[int, int]:
    """Return the fewest tokens around ``place`` that are whole characters, within [first, last); the token alone if none are."""
    for size in range(1, last - first + 1):
        for start in range(max(first, place - size + 1), min(place, last - size) + 1):
            end = start + size
            decoded = text(start, end)
            if BROKEN not in decoded and not _hangs(decoded) and not _hangs(text(end, min(end + LONGEST, last))):
                return start, end
    return place, place + 1


def _hangs(text: str) -> bool:
    """Return whether a text begins inside a character: with the rest of its bytes, or with a mark on the letter before."""
    return bool(text) and (text[0] == BROKEN or unicodedata.category(text[0]).startswith("M"))


def _isolated(text: str, names: Sequence[str]) -> str:
    for name in names:
        text = text.replace(name, f"{LEFT_TO_RIGHT}{name}{END}")
    return text


def _visible(text: str) -> str:
    return "".join(MARKS.get(letter, letter) for letter in text)
