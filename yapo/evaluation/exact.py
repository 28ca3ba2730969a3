"""Which completions are the right answer: offline, by text alone, whoever judges the rest."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pandas as pd

from yapo.evaluation.mcq import parse_choice


def exact(items: pd.DataFrame, completions: Sequence[str], task: str) -> list[bool]:
    """Per item: did the completion choose the right option; open-ended, is it the gold answer up to spelling variants."""
    if task == "mcq":
        choices = [parse_choice(text, len(options)) for text, options in zip(completions, items["options"], strict=True)]
        return [choice == gold for choice, gold in zip(choices, items["answer_index"], strict=True)]
    return [normalized(text) == normalized(gold) for text, gold in zip(completions, items["answer"], strict=True)]


def normalized(text: str) -> str:
    """NFC, lower case, single spaces, no closing full stop."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split()).rstrip(".。। ")
