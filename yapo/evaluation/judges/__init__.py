"""Judges of open-ended answers. A judge maps (question, gold answer, completion) to a score from 0 to 10, or to no score."""

from yapo.evaluation.judges.base import Judge, get_judge
from yapo.evaluation.judges.rubric import Judgement, Request

__all__ = ["Judge", "Judgement", "Request", "get_judge"]
