"""Texts as keys: what counts as the same question or answer when two tables are compared."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Soft hyphens, joiners, direction marks, byte order marks: what the eye does not see.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
# Outer punctuation that published tables put or leave out at random. A list, not a category: the vowel signs of Devanagari are
# no letters in the Unicode sense, and a percent sign changes an answer.
_OUTER = " .,;:!?…\"'`“”‘’«»()[]،؛؟۔।"


@lru_cache(maxsize=2**18)
def text_key(text: str) -> str:
    """One form for texts that differ in case, spacing, invisible characters or outer punctuation alone; only for comparing."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    spaced = " ".join(_INVISIBLE.sub("", folded).split())
    return spaced.strip(_OUTER) or spaced
