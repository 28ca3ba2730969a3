"""Completions to scores, the same way for every method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from yapo.evaluation.exact import exact
from yapo.evaluation.judges import Judge, Request
from yapo.evaluation.mcq import parse_choice


def score(items: pd.DataFrame, completions: Sequence[str], task: str, judge: Judge) -> pd.DataFrame:
    """One row per item: ``completion``, ``score``, ``parsed`` and ``exact``.

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
    """What a judge is asked about open-ended answers."""
    return [Request(q, a, c) for q, a, c in zip(items["question"], items["answer"], completions, strict=True)]
