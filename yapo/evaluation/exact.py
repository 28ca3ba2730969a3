"""Which completions are the right answer: offline, by text alone, whoever judges the rest."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from yapo.data.text import text_key
from yapo.evaluation.mcq import parse_choice


def exact(items: pd.DataFrame, completions: Sequence[str], task: str) -> list[bool]:
    """Return per item whether the completion chose the right option; open-ended, whether it is the gold answer as texts compare.

    See ``yapo.data.text`` for which texts are the same.
    """
    if task == "mcq":
        choices = [parse_choice(text, len(options)) for text, options in zip(completions, items["options"], strict=True)]
        return [choice == gold for choice, gold in zip(choices, items["answer_index"], strict=True)]
    return [text_key(text) == text_key(gold) for text, gold in zip(completions, items["answer"], strict=True)]
