"""What goes to a judge and what comes back."""

from __future__ import annotations

from dataclasses import dataclass

Grades = dict[str, int]


@dataclass(frozen=True)
class Request:
    """One open-ended answer to score.

    ``gold`` is the answer that scores highest; ``opposite`` the one that scores lowest, where a rubric knows one. ``rival`` is a
    second answer to the question, where two are compared; ``earlier`` what was said before it, the user first.
    """

    question: str
    gold: str
    completion: str
    opposite: str = ""
    rival: str = ""
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """A score, or None where the judge's reply could not be read; ``grades`` that it is the sum of, where a rubric gave them."""

    score: float | None
    grades: Grades | None = None
