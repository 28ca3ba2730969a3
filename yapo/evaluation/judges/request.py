"""What goes to a judge and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Request:
    """One open-ended answer to score."""

    question: str
    gold: str
    completion: str


class Parts(NamedTuple):
    """The paper's rubric: language 0 to 2, factual 0 to 3, cultural 0 to 3, content 0 to 2; their sum is the score."""

    language: int
    factual: int
    cultural: int
    content: int


@dataclass(frozen=True)
class Judgement:
    """A score from 0 to 10, or None where the judge's reply could not be read; ``parts`` where the rubric gave it."""

    score: float | None
    parts: Parts | None = None
