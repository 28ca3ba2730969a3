"""Words of a text in any script: what n-grams of words and terms in a text are counted over."""

from __future__ import annotations

import re
import unicodedata

from yapo.data.text import text_key

# Scripts that put no space between words: Thai, Lao, Myanmar, Khmer, Tai Le, Tai Tham, Han, Hiragana, Katakana.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3040-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff\U00020000-\U0003ffff]"
)


def words(text: str) -> list[str]:
    """Return the words of a text, as ``text_key`` writes them.

    A word is the longest run of letters, digits and marks of any script; everything else separates words, hyphens and apostrophes
    included. In scripts that put no space between words, each letter with its marks is a word of its own.
    """
    found: list[str] = []
    before = ""  # what the character before was: "word", "letter" of an unspaced script, or "" for a separator
    for character in text_key(text):
        kind = unicodedata.category(character)[0]
        if kind not in "LMN":
            before = ""
        elif before and (kind == "M" or (before == "word" and not _UNSPACED.match(character))):
            found[-1] += character
        else:
            found.append(character)
            before = "letter" if _UNSPACED.match(character) else "word"
    return found
