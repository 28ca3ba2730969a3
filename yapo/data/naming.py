"""Names in texts: find them, and mend a sentence from which one was cut."""

from __future__ import annotations

import re
from collections.abc import Iterable

from yapo.data.text import text_key

_SPACES = re.compile(r"\s+")
_BEFORE_MARK = re.compile(r"\s+([,.;:!?،؛؟।])")
_LEADING = re.compile(r"^(?:[\s,.;:!?،؛؟।-])+")
_TWICE = re.compile(r"([,،;؛:])\s*(?=[,.;:!?،؛؟।])")


def name_pattern(names: Iterable[str], attached: Iterable[str] = ()) -> re.Pattern[str]:
    """Return a pattern of whole names, in texts as ``text_key`` gives them.

    Args:
        names: as they are written.
        attached: what may be written before a name without a space.
    """
    before = "|".join(re.escape(text) for text in sorted(attached, key=len, reverse=True))
    listed = "|".join(re.escape(key) for key in sorted(set(map(text_key, names)), key=lambda key: (-len(key), key)))
    return re.compile(rf"(?<!\w)(?:{before})?(?:{listed})(?!\w)")


def close_gap(text: str) -> str:
    """Return a sentence from which words were cut, without the space and the comma that belonged to them."""
    bare = _BEFORE_MARK.sub(r"\1", _SPACES.sub(" ", text))
    return as_sentence(_LEADING.sub("", _TWICE.sub("", bare)))


def as_sentence(text: str) -> str:
    """Return a text that begins with a capital letter, where its script has them, behind opening marks such as ¿."""
    text = text.strip()
    first = next((place for place, character in enumerate(text) if character.isalpha()), 0)
    return text[:first] + text[first : first + 1].upper() + text[first + 1 :]
