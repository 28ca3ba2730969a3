"""The offline reference scorer: overlap with the gold answer, no model and no network.

A stand-in where no judge can be reached. It measures wording, not cultural quality, and is labelled so in every table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from sacrebleu.metrics.chrf import CHRF

from yapo.data.text import plain_text, text_key
from yapo.evaluation.judges.rubric import Judgement, Request


class OfflineJudge:
    """Stands in for a judge where none can be reached.

    Args:
        label: what tables call it.
        measure: score of a request; None where there is no answer to compare with.
    """

    def __init__(self, label: str, measure: Callable[[Request], float | None]) -> None:
        self.label, self.measure = label, measure
        self.answers = self.unscored = 0

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """See ``Judge.judge``."""
        judged = [Judgement(self.measure(request)) for request in requests]
        self.answers += len(judged)
        self.unscored += sum(judgement.score is None for judgement in judged)
        return judged

    def report(self) -> dict[str, object]:
        """See ``Judge.report``."""
        return {"judge": self.label, "answers": self.answers, "unscored": self.unscored}


def likeness(request: Request) -> float:
    """Return chrF (Popović 2015) against the gold answer, divided by ten; the gold answer itself scores 10.

    Where a request knows the opposite answer too, the score runs from 1 (that one) to 4 (the gold one): see ``between``.
    """
    return _likeness(request.gold, request.opposite, request.completion)


@lru_cache(maxsize=200_000)
def _likeness(gold: str, opposite: str, completion: str) -> float:
    return round(between(gold, opposite, completion) if opposite else overlap(completion, gold) / 10, 4)


def between(gold: str, opposite: str, completion: str) -> float:
    """Return 4 for the gold answer, 1 for the opposite one, 2.5 for a text as near to one as to the other.

    The difference of the two overlaps, as a share of what it is for the answer on that side itself.
    """
    difference = overlap(completion, gold) - overlap(completion, opposite)
    largest = 100.0 - (overlap(gold, opposite) if difference > 0 else overlap(opposite, gold))
    return 2.5 + 1.5 * (max(-1.0, min(1.0, difference / largest)) if largest else 0.0)


def overlap(completion: str, reference: str) -> float:
    """Return the overlap of character n-grams (chrF), 0 to 100; 100 for texts that are the same (``yapo.data.text``)."""
    if text_key(completion) == text_key(reference):
        return 100.0
    return float(_CHRF.sentence_score(plain_text(completion), [plain_text(reference)]).score)


_CHRF = CHRF()
