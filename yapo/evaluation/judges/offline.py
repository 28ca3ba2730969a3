"""The offline reference scorer: overlap with the gold answer, no model and no network.

A stand-in where no judge can be reached. It measures wording, not cultural quality, and is labelled so in every table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sacrebleu.metrics.chrf import CHRF

from yapo.config import JudgeConfig
from yapo.evaluation.exact import normalized
from yapo.evaluation.judges.label import judge_label
from yapo.evaluation.judges.request import Judgement, Request


class OfflineJudge:
    """chrF (Popović 2015) of the completion against the gold answer, divided by ten; the gold answer itself scores 10.

    Where a request knows the opposite answer too, the score runs from 1 (that one) to 4 (the gold one): see ``between``.
    """

    def __init__(self, config: JudgeConfig) -> None:
        self.label = judge_label(config)
        self.answers = 0

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """See ``Judge.judge``."""
        self.answers += len(requests)
        return [
            _judge(normalized(request.gold), normalized(request.opposite), normalized(request.completion)) for request in requests
        ]

    def report(self) -> dict[str, object]:
        """See ``Judge.report``."""
        return {"judge": self.label, "answers": self.answers, "unscored": 0}


@lru_cache(maxsize=200_000)
def _judge(gold: str, opposite: str, completion: str) -> Judgement:
    return Judgement(round(between(gold, opposite, completion) if opposite else chrf(completion, gold) / 10, 4))


def between(gold: str, opposite: str, completion: str) -> float:
    """4 for the gold answer, 1 for the opposite one, 2.5 for a text as near to one as to the other.

    The difference of the two overlaps, as a share of what it is for the answer on that side itself.
    """
    difference = chrf(completion, gold) - chrf(completion, opposite)
    largest = 100.0 - (chrf(gold, opposite) if difference > 0 else chrf(opposite, gold))
    return 2.5 + 1.5 * (max(-1.0, min(1.0, difference / largest)) if largest else 0.0)


def chrf(completion: str, reference: str) -> float:
    """Overlap of character n-grams, 0 to 100."""
    return float(_CHRF.sentence_score(completion, [reference]).score)


_CHRF = CHRF()
