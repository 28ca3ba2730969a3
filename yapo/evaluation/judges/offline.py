"""The offline reference scorer: overlap with the gold answer, no model and no network.

A stand-in where no judge can be reached. It measures wording, not cultural quality, and is labelled so in every table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from sacrebleu.metrics.chrf import CHRF

from yapo.evaluation.judges.request import Judgement, Request


class OfflineJudge:
    """chrF (Popović 2015) of the completion against the gold answer, divided by ten; the gold answer itself scores 10."""

    label = "offline reference, chrF overlap with the gold answer"

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """See ``Judge.judge``."""
        return [_judge(normalized(request.gold), normalized(request.completion)) for request in requests]


def normalized(text: str) -> str:
    """NFC, lower case, single spaces, no closing full stop."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split()).rstrip(".。। ")


@lru_cache(maxsize=200_000)
def _judge(gold: str, completion: str) -> Judgement:
    score = _CHRF.sentence_score(completion, [gold]).score / 10
    return Judgement(round(float(score), 4), gold == completion)


_CHRF = CHRF()
