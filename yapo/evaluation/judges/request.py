"""What goes to a judge and what comes back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One open-ended answer to score."""

    question: str
    gold: str
    completion: str


@dataclass(frozen=True)
class Judgement:
    """A score from 0 to 10, or None where the judge's reply could not be read; ``exact`` if the answer is the gold one."""

    score: float | None
    exact: bool
