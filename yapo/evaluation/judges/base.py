"""The protocol of judges, and the configured one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from yapo.config import JudgeConfig
from yapo.errors import require_extra
from yapo.evaluation.judges.label import judge_label
from yapo.evaluation.judges.offline import OfflineJudge, likeness
from yapo.evaluation.judges.rubric import CULTURE, Judgement, Request, Rubric


class Judge(Protocol):
    """Scores open-ended answers. ``label`` stands in the tables; judging many at once lets a judge batch or go parallel."""

    label: str

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """Return one judgement per request, in order; an answer that could not be scored has score None, never 0."""
        ...

    def report(self) -> dict[str, object]:
        """Return what was judged since the judge was made, and what it took, as JSON-like values."""
        ...


def get_judge(config: JudgeConfig, rubric: Rubric = CULTURE) -> Judge:
    """Return the configured judge. A wrong key or model is refused here, before anything is asked.

    Imports wait until a judge is chosen: ``openai`` and the model code take their time, and the default needs neither.
    """
    if config.name == "openai":
        require_extra("judge", "openai", "tenacity")
        from yapo.evaluation.judges.openai_judge import OpenAIJudge

        return OpenAIJudge(config, rubric)
    if config.name == "local":
        from yapo.evaluation.judges.local import LocalJudge

        return LocalJudge(config, rubric)
    return OfflineJudge(judge_label(config), likeness)
