"""Completions to scores, the same way for every method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from yapo.evaluation.judges import Judge, Request
from yapo.evaluation.mcq import parse_choice


def score(items: pd.DataFrame, completions: Sequence[str], task: str, judge: Judge) -> pd.DataFrame:
    """One row per item: ``completion``, ``score``, ``parsed`` and ``exact``.

    Multiple choice scores 1 or 0; a completion without a readable choice is wrong *and* not parsed. Open-ended answers
    score 0 to 10 as the judge says; where it gives no score, ``score`` is missing and ``parsed`` False.
    """
    if task == "mcq":
        choices = [parse_choice(text, len(options)) for text, options in zip(completions, items["options"], strict=True)]
        right = [choice == gold for choice, gold in zip(choices, items["answer_index"], strict=True)]
        parsed = [choice is not None for choice in choices]
        return pd.DataFrame(
            {"completion": list(completions), "score": [float(r) for r in right], "parsed": parsed, "exact": right},
            index=items.index,
        )
    requests = [Request(q, a, c) for q, a, c in zip(items["question"], items["answer"], completions, strict=True)]
    judgements = judge.judge(requests)
    return pd.DataFrame(
        {
            "completion": list(completions),
            "score": pd.Series([j.score for j in judgements], index=items.index, dtype=float),
            "parsed": [j.score is not None for j in judgements],
            "exact": [j.exact for j in judgements],
        },
        index=items.index,
    )
