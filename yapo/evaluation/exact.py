"""Right answers among completions, by text alone: boxed choices, and gold answers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from yapo.checks import Task
from yapo.data.boxed import boxes
from yapo.data.text import text_key


def exact(items: pd.DataFrame, completions: Sequence[str], task: Task) -> list[bool]:
    """Return per item whether the completion chose the right option; open-ended, whether it is the gold answer as texts compare.

    See ``yapo.data.text`` for which texts are the same.
    """
    if task == "mcq":
        choices = [parse_choice(text, len(options)) for text, options in zip(completions, items["options"], strict=True)]
        return [choice == gold for choice, gold in zip(choices, items["answer_index"], strict=True)]
    return [text_key(text) == text_key(gold) for text, gold in zip(completions, items["answer"], strict=True)]


def parse_choice(completion: str, n_options: int) -> int | None:
    """Return the 0-based option of the last boxed number, or None where there is none or it is not the number of an option."""
    numbers = [box.number for box in boxes(completion)]
    return numbers[-1] - 1 if numbers and 1 <= numbers[-1] <= n_options else None
