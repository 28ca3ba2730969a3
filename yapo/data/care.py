"""CARE (Guo et al., arXiv 2504.05154): answers to questions about Chinese, Arab and Japanese culture, rated by native speakers.

Of the answers to a question the one rated highest is chosen over the one rated lowest. Both published layouts are read: that
with ``human_rating`` and ``cul_type``, and the earlier one with ``rating`` and ``culture_type``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pandas as pd

from yapo.data.published import Cells, Layout, text_of
from yapo.data.text import is_blank, shown, text_key
from yapo.errors import YapoError
from yapo.names import check_key

LAYOUT = Layout("geyang627/CARE of the hub", "*train*", ("question", "response", "associated_culture"))
LANGUAGE = "preferences"  # stands where a country's language does
RATINGS = ("human_rating", "rating")
HIGHEST = 10


def cultures_in(path: str) -> list[str]:
    """Return the cultures of a copy, by key, sorted."""
    return sorted({_culture(row, place) for place, row in LAYOUT.read(path)})


def load_care(path: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return one pair of each question, and how many questions gave none, by reason.

    Returns:
        Columns ``culture``, ``prompt``, ``chosen``, ``rejected``; and counts of rows and dropped questions.

    Raises:
        YapoError: the copy cannot be read, or a row is not as published.
    """
    rows = LAYOUT.read(path)
    answers: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    questions: dict[tuple[str, str], str] = {}
    dropped: Counter[str] = Counter()
    for place, row in rows:
        question = text_of(row, "question", place)
        key = (_culture(row, place), text_key(question))
        questions.setdefault(key, question)
        rating, response = _rating(row, place), row["response"]
        if isinstance(response, str) and not is_blank(response):
            answers[key].append((rating, response.strip()))
        else:
            dropped["an empty answer"] += 1
    pairs = []
    for key, question in questions.items():
        rated = sorted(answers[key], key=lambda one: -one[0])  # of equal ratings the first stays first
        if len(rated) < 2 or rated[0][0] == rated[-1][0]:
            dropped["a question whose answers are rated alike"] += 1
        elif text_key(rated[0][1]) == text_key(rated[-1][1]):
            dropped["a question whose best and worst answer are the same"] += 1
        else:
            pairs.append({"culture": key[0], "prompt": question, "chosen": rated[0][1], "rejected": rated[-1][1]})
    counts = {"rows": len(rows), "pairs": len(pairs), "dropped": dict(sorted(dropped.items()))}
    return pd.DataFrame(pairs, columns=["culture", "prompt", "chosen", "rejected"]), counts


def _culture(row: Cells, place: str) -> str:
    named = text_of(row, "associated_culture", place)
    return check_key(named.lower().replace(" ", "_"), f"{place}: associated_culture")


def _rating(row: Cells, place: str) -> int:
    """Return the rating of an answer, 1 to ``HIGHEST``; the earlier layout has it as text."""
    name = next((column for column in RATINGS if column in row), "")
    if not name:
        raise YapoError(f"{place}: has no column {' or '.join(RATINGS)}; give {LAYOUT.origin} as published")
    text = str(row[name]).strip().removesuffix(".0")
    if text not in map(str, range(1, HIGHEST + 1)):
        raise YapoError(f"{place}: {name} is {shown(row[name])}; give a whole number from 1 to {HIGHEST}")
    return int(text)
