"""Read a multiple-choice question that was published as one text: its question, its options, and the boxed answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from yapo.data.boxed import boxes
from yapo.data.text import DIRECTION, INVISIBLE, visible

# One option: a number (of any script) or a letter, with a bracket, or with another mark and a space, so that 12:30 is no option.
# Invisible characters may stand around its parts, as direction marks do around numbers in Arabic text.
_GAP = rf"[\s{INVISIBLE}]*"
_MARKER = re.compile(
    rf"^{_GAP}([(\[]?){_GAP}(\d{{1,2}}|[A-Z]|[a-z])(?:{_GAP}([)\]])|{_GAP}([.:–-])(?=[\s{INVISIBLE}]))[{DIRECTION}\s]*(.*)$"
)


@dataclass(frozen=True)
class Mcq:
    """A question and its options, in the order of the text."""

    question: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class _Marker:
    line: int
    style: tuple[str, str, str]  # kind of label, what opens it, what closes it
    number: int
    text: str


def parse_mcq(text: str) -> Mcq:
    """Split the text of a multiple-choice question.

    Options stand on lines of one style (``1) x``, ``1. x``, ``(1) x``, ``[1] x``, ``1: x``, ``1 - x``, the same with ``A`` or
    ``a``), numbered from 1 or A without a gap, the last list of the text. A line without a label continues the option above it;
    an empty line ends the last one. What is left is the question.

    Raises:
        ValueError: no such list, one with a gap or a repetition, an empty option, or two styles that both make a list.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    markers: dict[tuple[str, str, str], list[_Marker]] = {}
    for i, line in enumerate(lines):
        marker = _marker(i, line)
        if marker:
            markers.setdefault(marker.style, []).append(marker)
    runs, faults = [], []
    for found in markers.values():
        try:
            runs.append(_last_run(found))
        except ValueError as fault:
            faults.append(str(fault))
    if len(runs) != 1:
        raise ValueError("two lists of options in different styles" if runs else "; ".join(["no list of options", *faults]))
    return _cut(lines, runs[0])


def boxed_number(text: str) -> tuple[int, str]:
    r"""Return the number in ``\boxed{k}`` and the text after it (the answer, where the data repeats it).

    Raises:
        ValueError: no box, or boxes that disagree.
    """
    found = list(boxes(text))
    numbers = {box.number for box in found}
    if len(numbers) != 1:
        raise ValueError(f"boxes say {sorted(numbers)}" if numbers else "no \\boxed{k}")
    return numbers.pop(), visible(text)[found[-1].end :].strip().lstrip(":.-–").strip()


def _marker(i: int, line: str) -> _Marker | None:
    found = _MARKER.match(line)
    if not found:
        return None
    opens, label, bracket, mark, text = found.groups()
    if {"(": ")", "[": "]", "": bracket}[opens] != bracket:
        return None
    kind = "number" if label.isdecimal() else "capital" if label.isupper() else "small"
    number = int(label) if kind == "number" else ord(label) - ord("A" if kind == "capital" else "a") + 1
    return _Marker(i, (kind, opens, bracket or mark), number, text.strip())


def _last_run(markers: list[_Marker]) -> list[_Marker]:
    """Return the last list 1, 2, ..., n of one style; all of its style before it must be such lists too."""
    run: list[_Marker] = []
    for marker in markers:
        if marker.number == 1:
            run = [marker]
        elif marker.number == len(run) + 1:
            run.append(marker)
        else:
            raise ValueError(f"option {marker.number} where {len(run) + 1 if run else 1} is expected: '{marker.text[:40]}'")
    if len(run) < 2:
        raise ValueError("a single option")
    return run


def _cut(lines: list[str], run: list[_Marker]) -> Mcq:
    options, rest = [], lines[: run[0].line]
    ends = [marker.line for marker in run[1:]] + [len(lines)]
    for marker, end in zip(run, ends, strict=True):
        more = [line.strip() for line in lines[marker.line + 1 : end]]
        if end == len(lines) and "" in more:
            rest += lines[marker.line + 1 + more.index("") :]
            more = more[: more.index("")]
        option = " ".join(part for part in [marker.text, *more] if part)
        if not option:
            raise ValueError(f"option {marker.number} is empty")
        options.append(option)
    return Mcq("\n".join(rest).strip(), tuple(options))
