"""Read boxed numbers, ``\\boxed{k}``: one reader for published data and for what models write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from yapo.data.text import visible

_OPEN = re.compile(r"\\(?:boxed|fbox)\s*\{")
_NARROW = str.maketrans("＼｛｝（）［］", "\\{}()[]")
_BRACE = re.compile("[{}]")
_LONGEST = 80  # characters in a box; one that holds a number is shorter
_SPACE = re.compile(r"\\[,;:! ]|\\q?quad\b|[~$\s]")
# A group without a command, or one that sets its text in a font: \text{3}, \mathbf{3}, \textbf{3}, \mbox{3}, \operatorname{3}.
_WRAPPED = re.compile(r"(?:\\(?:text|math|mbox|hbox|fbox|rm|bf|operatorname)[a-z]*)?\{(.*)\}", re.DOTALL)
_NUMBER = re.compile(r"(\d+)|\(\s*(\d+)\s*\)|\[\s*(\d+)\s*\]|(\d+)\s*[.):]")


@dataclass(frozen=True)
class Box:
    """A boxed number and the place after the box in the text without invisible characters."""

    number: int
    end: int


def boxes(text: str) -> Iterator[Box]:
    r"""Yield the boxes of a text that hold a number and nothing else, in order.

    Read are ``\boxed{3}``, spaces and invisible characters anywhere, digits of any script, groups in the box such as
    ``{3}``, ``\text{3}`` and ``$3$``, and the number as a label: ``(3)``, ``[3]``, ``3)``, ``3.`` and ``3:``. Boxes that
    hold anything else or are not closed are passed over. ``end`` counts in ``visible(text)``.
    """
    text = visible(text).translate(_NARROW)
    for found in _OPEN.finditer(text):
        content = _content(text, found.end())
        number = None if content is None else _number(content)
        if content is not None and number is not None:
            yield Box(number, found.end() + len(content) + 1)


def _content(text: str, start: int) -> str | None:
    """Return the text up to the brace that closes the box."""
    depth = 1
    for brace in _BRACE.finditer(text, start, start + _LONGEST):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start : brace.start()]
    return None


def _number(content: str) -> int | None:
    content = _SPACE.sub(" ", content).strip()
    while wrapped := _WRAPPED.fullmatch(content):
        content = wrapped[1].strip()
    found = _NUMBER.fullmatch(content)
    return int(next(filter(None, found.groups()))) if found else None
