"""Checks of one generated text: refusals, script, language, repetition."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

from yapo.curation.places import Language
from yapo.curation.steps import Drop
from yapo.data.text import text_key

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
LONGEST = 200  # characters of an answer: a few words in any language
_PLACEHOLDERS = ("n/a", "null", "unknown")  # in any language: what models write for no answer
_FOREIGN_WORDS = 2  # of another language's grammar: one may be a loan
# The same words, three times on end or more; a single word four times (songs repeat one).
_LOOP = re.compile(r"(?<!\S)(?:(\S+)(?:\s+\1){3,}|(\S+(?:\s+\S+){1,11})(?:\s+\2){2,})(?!\S)")


def text_fault(text: str, language: Language, others: Collection[Language]) -> Drop | None:
    """Return what makes a text no answer in a language; None where nothing does.

    Args:
        text: what the generator wrote.
        language: that it should be in.
        others: languages that it may be in instead, and this one.
    """
    if not any(map(str.isalnum, text)) or text_key(text) in _PLACEHOLDERS:
        return Drop("no_answer", text)
    if any(refuses(text, other) for other in others):  # models often refuse in English, whatever they are asked in
        return Drop("refusal", text)
    if repeats(text):
        return Drop("repetition", text)
    if len(text) > LONGEST:
        return Drop("too_long", text)
    if not in_script(text, language.script):
        return Drop("wrong_script", text)
    if not in_language(text, language, others):
        return Drop("wrong_language", text)
    return None


def refuses(text: str, language: Language) -> bool:
    """Tell whether a text holds one of the language's wordings of a refusal."""
    key = text_key(text)
    return any(wording in key for wording in language.refusal_keys)


def repeats(text: str) -> bool:
    """Tell whether a text says the same words over and over."""
    return bool(_LOOP.search(text_key(text[: 2 * LONGEST])))  # the pattern's time grows faster than the text


def in_script(text: str, script: str) -> bool:
    """Tell whether at least half of the letters are of a script; a text without letters is of every script."""
    letters = [character for character in text if character.isalpha()]
    own = sum(unicodedata.name(letter, "").startswith(f"{script} ") for letter in letters)
    return 2 * own >= len(letters)


def in_language(text: str, language: Language, others: Iterable[Language]) -> bool:
    """Tell whether no other language of the same script shows by more words of its grammar, and by two at least.

    Words that both languages have do not count. Short answers without such words pass.
    """
    words = [text_key(word) for word in _WORD.findall(text)]
    for other in others:
        if other.script == language.script and other.words and other is not language:
            own = sum(word in language.words - other.words for word in words)
            foreign = sum(word in other.words - language.words for word in words)
            if foreign >= _FOREIGN_WORDS and foreign > own:
                return False
    return True
