"""What a judge is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from yapo.config import JudgeConfig
from yapo.errors import YapoError
from yapo.evaluation.judges.offline import OfflineJudge
from yapo.evaluation.judges.request import Judgement, Request


class Judge(Protocol):
    """Scores open-ended answers. ``label`` stands in the tables; judging many at once lets a judge batch or go parallel."""

    label: str

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """One judgement per request, in order; an answer that could not be scored has score None, never 0."""
        ...


def get_judge(config: JudgeConfig) -> Judge:
    """The configured judge."""
    judges = {"offline": OfflineJudge}
    if config.name not in judges:
        raise YapoError(f"judge.name={config.name}: choose one of {', '.join(judges)}")
    return judges[config.name]()
