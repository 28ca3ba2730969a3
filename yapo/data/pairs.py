"""Preference pairs: chosen is the gold answer, rejected what the model says when it is wrong."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from yapo.checks import Task
from yapo.data.boxed import boxes
from yapo.data.prompts import PromptFormat
from yapo.data.text import is_blank, text_key

COLUMNS = ["question_id", "variant", "phrasing", "prompt", "chosen", "rejected", "on_policy"]


def build_pairs(
    items: pd.DataFrame, completions: list[str], correct: list[bool], task: Task, prompts: PromptFormat, seed: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return one pair per item.

    Rejected is the model's own completion where it is wrong (on-policy), otherwise another option drawn by the seed. A
    pair whose sides say the same (one text, or one boxed number), or whose rejected side is blank, is dropped and counted.

    Args:
        items: rows of the items table.
        completions: the model's greedy answer to each item.
        correct: whether that answer is right.

    Returns:
        A table with ``COLUMNS``, and counts of what became of the items.
    """
    rng = np.random.default_rng(seed)
    rows, counts = [], Counter(on_policy=0, other_option=0, dropped_equal=0, dropped_empty=0)
    for item, completion, right in zip(items.to_dict("records"), completions, correct, strict=True):
        others = [i for i in range(len(item["options"])) if i != item["answer_index"]]
        drawn = others[rng.integers(len(others))]
        rejected = prompts.answer(task, item["options"], drawn) if right else completion
        chosen = prompts.answer(task, item["options"], item["answer_index"])
        if is_blank(rejected) or _same(task, rejected, chosen):
            counts["dropped_empty" if is_blank(rejected) else "dropped_equal"] += 1
            continue
        counts["other_option" if right else "on_policy"] += 1
        rows.append(
            {
                "question_id": item["question_id"],
                "variant": item["variant"],
                "phrasing": item["phrasing"],
                "prompt": prompts.prompt(task, item["question"], item["options"]),
                "chosen": chosen,
                "rejected": rejected,
                "on_policy": not right,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS), dict(counts)


def _same(task: Task, rejected: str, chosen: str) -> bool:
    """Tell whether two answers are one: the same text, or for multiple choice the same last boxed number."""
    if text_key(rejected) == text_key(chosen):
        return True
    numbers = [[box.number for box in boxes(text)][-1:] for text in (rejected, chosen)]
    return task == "mcq" and bool(numbers[0]) and numbers[0] == numbers[1]
