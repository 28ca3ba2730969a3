"""Scores of completions, the same way for every method, and answers to items under several conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from yapo.checks import Task
from yapo.evaluation.completer import Completer
from yapo.evaluation.decoding import Condition
from yapo.evaluation.exact import exact, parse_choice
from yapo.evaluation.judges import Judge, Request


def score(items: pd.DataFrame, completions: Sequence[str], task: Task, judge: Judge) -> pd.DataFrame:
    """Return one row per item: ``completion``, ``score``, ``parsed`` and ``exact``.

    Multiple choice scores 1 or 0; a completion without a readable choice is wrong *and* not parsed. Open-ended answers
    score 0 to 10 as the judge says; where it gives no score, ``score`` is missing and ``parsed`` False. ``exact`` asks no
    judge: where nothing else is needed, call ``yapo.evaluation.exact`` instead.
    """
    right = exact(items, completions, task)
    if task == "mcq":
        scores = pd.Series(right, index=items.index, dtype=float)
        parsed = [
            parse_choice(text, len(options)) is not None for text, options in zip(completions, items["options"], strict=True)
        ]
    else:
        judgements = judge.judge(judge_requests(items, completions))
        scores = pd.Series([judgement.score for judgement in judgements], index=items.index, dtype=float)
        parsed = [judgement.score is not None for judgement in judgements]
    columns = {"completion": list(completions), "score": scores, "parsed": parsed, "exact": right}
    return pd.DataFrame(columns, index=items.index)


def judge_requests(items: pd.DataFrame, completions: Sequence[str]) -> list[Request]:
    """Return what a judge is asked about open-ended answers."""
    return [Request(q, a, c) for q, a, c in zip(items["question"], items["answer"], completions, strict=True)]


@dataclass(frozen=True)
class Answerer(Completer):
    """Asks items under conditions, and scores the completions.

    Attributes:
        judge: scores open-ended answers.
    """

    judge: Judge

    def ask(self, items: pd.DataFrame, task: Task, conditions: Sequence[Condition]) -> list[pd.DataFrame]:
        """Return for each condition the items, in their order and numbered from 0, with ``completion, score, parsed, exact``.

        Args:
            items: items of the schema of ``yapo.data.schema``, at least one.
            task: mcq or open_ended.
            conditions: ways to answer; they share the forward passes below the steered layer.
        """
        items = items.reset_index(drop=True)
        return self.score([(items, task, texts) for texts in self.complete(items, task, conditions)])

    def score(self, answered: Sequence[tuple[pd.DataFrame, Task, list[str]]]) -> list[pd.DataFrame]:
        """Score items of a task with their completions; add ``completion, score, parsed, exact``.

        All go to the judge at once, so that one behind a network works on many together; it remembers what it has judged.
        """
        self.judge.judge([r for items, task, texts in answered if task == "open_ended" for r in judge_requests(items, texts)])
        return [pd.concat([items, score(items, texts, task, self.judge)], axis=1) for items, task, texts in answered]
