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
    """chrF (Popović 2015) of the completion against the gold answer, divided by ten; the gold answer itself scores 10."""

    def __init__(self, config: JudgeConfig) -> None:
        self.label = judge_label(config)
        self.answers = 0

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """See ``Judge.judge``."""
        self.answers += len(requests)
        return [_judge(normalized(request.gold), normalized(request.completion)) for request in requests]

    def report(self) -> dict[str, object]:
        """See ``Judge.report``."""
        return {"judge": self.label, "answers": self.answers, "unscored": 0}


@lru_cache(maxsize=200_000)
def _judge(gold: str, completion: str) -> Judgement:
    return Judgement(round(float(_CHRF.sentence_score(completion, [gold]).score / 10), 4))


_CHRF = CHRF()
