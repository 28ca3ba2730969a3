"""Whose answer did the model give: the share of answers that are another country's answer to the same fact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from yapo.data.text import text_key
from yapo.evaluation.exact import exact

SAME = ["question_id", "variant", "phrasing"]


def answers_of(items: pd.DataFrame, other: pd.DataFrame) -> list[str | None]:
    """What another country answers to each item, or None where it is not asked the same.

    Args:
        items: the items that were answered.
        other: items of the other country, in the same language.
    """
    known = other.set_index(SAME)["answer"]
    return [known.get(key) for key in items[SAME].itertuples(index=False, name=None)]


def adopted(items: pd.DataFrame, completions: Sequence[str], task: str, answers: Sequence[str | None]) -> list[float]:
    """1 where a completion is the other country's answer, 0 where it is not, as ``yapo.evaluation.exact`` compares.

    NaN where that says nothing: the other country has no answer or the same one, or its answer is no option of the item.

    Args:
        items: the items that were answered.
        completions: one for each.
        task: mcq or open_ended.
        answers: what ``answers_of`` returned.
    """
    rivals: list[str | None] = []
    places: list[int] = []
    for text, gold, options in zip(answers, items["answer"], items["options"], strict=True):
        place = -1 if text is None else _place(text, options)
        distinct = text is not None and text_key(text) != text_key(gold)
        rivals.append(text if distinct and (task != "mcq" or place >= 0) else None)
        places.append(place)
    asked = items.assign(answer=[text or "" for text in rivals], answer_index=places)
    hits = exact(asked, completions, task)
    return [np.nan if text is None else float(hit) for text, hit in zip(rivals, hits, strict=True)]


def _place(text: str, options: Sequence[str]) -> int:
    """The option that says the same, or -1."""
    return next((i for i, option in enumerate(options) if text_key(option) == text_key(text)), -1)
