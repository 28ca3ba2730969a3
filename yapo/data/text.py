"""One rule for which texts are the same, used by scoring, pairs, options, duplicates, splits and leakage.

Two texts are the same if only typing sets them apart: Unicode form (composed, full width, Arabic presentation forms), case,
spaces, invisible characters, tatweel, Arabic vowel marks, the script of digits, the shape of quotes and hyphens, and
punctuation around the text. Letters, inner punctuation and signs such as %, -, + and $ always count.
"""

from __future__ import annotations

import re
import reprlib
import unicodedata
from functools import lru_cache

# Direction marks, and the byte order mark.
DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
# Control characters that are no white space, soft hyphen, joiners, direction marks, variation selectors, byte order marks.
INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0001\U000e0100-\U000e01ef"
)
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
# Tatweel only stretches a word; presentation forms of a lone vowel would become a space or a tatweel with a mark.
_STRETCH = re.compile("[\u0640\ufc5e-\ufc63\ufcf2-\ufcf4\ufe70-\ufe72\ufe74\ufe76-\ufe7f]")
# Superscripts, fractions and circled numbers: 10⁵ is not 105, and 1½ is not 11/2.
_SMALL = (
    "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070\u2074-\u207e\u2080-\u208e\u2150-\u215f\u2189\u2460-\u249b\u24ea-\u24ff\u2776-\u2793"
)
_AFTER_NUMBER = re.compile(rf"(?<=[\d{_SMALL}])(?=[{_SMALL}])")
# Short vowels, doubling and signs of recitation. Hamza and madda stay: they make another letter.
_VOWELS = re.compile(
    "[\u0610-\u061a\u064b-\u0652\u0656\u0657\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u08d3-\u08ff]"
)
_DIGIT = re.compile(r"(?![0-9])\d")
_SHAPES = str.maketrans({**dict.fromkeys("‘’‚‛ʼ`", "'"), **dict.fromkeys("“”„‟", '"'), **dict.fromkeys("‐‑‒–—―−", "-"), "⁄": "/"})
# A list, not a Unicode category: a percent sign changes an answer.
_PUNCTUATION = " .,;:!?\"'()[]¡¿«»‹›،؛؟۔।॥。、・「」『』【】〈〉《》〔〕·⸮՜՝՞։׃።፣፤፥፦፧၊။។៕"
# A point or comma before a digit belongs to the number.
_OPENING = re.compile(rf"^(?:(?![.,]\d)[{re.escape(_PUNCTUATION)}])+")

# Bytes that are not UTF-8 (read as surrogates), half a character in JSON, and NUL, of which UTF-16 without a mark is full.
_BROKEN = re.compile("[\ud800-\udfff\x00]")

_SHOWN = 200  # characters of a value in an error
_REPR = reprlib.Repr()  # stops early: a small YAML file can hold a list of billions
_REPR.maxlist = _REPR.maxdict = _REPR.maxtuple = 20
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother, _REPR.maxlong = 3, _SHOWN, _SHOWN, 40


def visible(text: str) -> str:
    """Return the text without its invisible characters."""
    return _INVISIBLE.sub("", text)


def broken(text: str) -> str:
    """Say why a text cannot be written, and what to do; nothing where it can."""
    found = _BROKEN.search(text)
    if not found:
        return ""
    return "a NUL character; take it out" if "\x00" in text else "not UTF-8; save the file as UTF-8"


def is_blank(text: str) -> bool:
    """Tell whether a text is white space, invisible characters and lone vowel marks alone."""
    return not text_key(text)


def shown(value: object, bare: bool = False) -> str:
    """Return a value as errors show it: as Python writes it, or a text ``bare`` of quotes, cut where it is long."""
    try:
        text = value if bare and isinstance(value, str) else _REPR.repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        text = f"<{type(value).__name__} of too many digits>"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def plain_text(text: str) -> str:
    """Return the text in one Unicode form, lower case, single spaces, no closing full stop: to measure how far two agree."""
    folded = _folded(text)
    return folded.rstrip(".。। ") or folded


@lru_cache(maxsize=2**18)
def text_key(text: str) -> str:
    """Return one form for all texts that are the same; only for comparing. Texts of punctuation alone keep it."""
    unmarked = unicodedata.normalize("NFKC", _VOWELS.sub("", _folded(text)))
    key = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), unmarked)
    return _OPENING.sub("", key).rstrip(_PUNCTUATION) or key


def _folded(text: str) -> str:
    seen = _STRETCH.sub("", visible(text))
    separate = unicodedata.normalize("NFKC", _AFTER_NUMBER.sub(" ", seen))
    return " ".join(unicodedata.normalize("NFKC", separate.casefold()).translate(_SHAPES).split())
