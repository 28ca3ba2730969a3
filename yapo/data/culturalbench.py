"""CulturalBench-Easy (Chiu et al., arXiv 2410.02677): English questions about 45 regions, each naming its own, four options each.

Options stand in the published order: some of them refer to others.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from yapo.checks import Variant
from yapo.data.country_names import country_key
from yapo.data.published import LETTERS, Layout, Question, items_of, letter_index, numbered, options_fault, text_of

OPTIONS = tuple(f"prompt_option_{letter.lower()}" for letter in LETTERS)
LAYOUT = Layout(
    "kellycyy/CulturalBench (CulturalBench-Easy) of the hub",
    "*Easy*",
    ("question_idx", "prompt_question", *OPTIONS, "answer", "country"),
)
LANGUAGE = "English"


def load_culturalbench(path: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the items of a copy, and how many rows were left out, by reason: one published row lacks an option.

    Raises:
        YapoError: the copy cannot be read, or a row is not as published.
    """
    questions: list[Question] = []
    dropped: Counter[str] = Counter()
    rows = LAYOUT.read(path)
    for place, row in rows:
        country = country_key(row["country"], f"{place}: country")
        answer = letter_index(row["answer"], len(LETTERS), f"{place}: answer")
        asked, options = text_of(row, "prompt_question", place), [row[name] for name in OPTIONS]
        if fault := options_fault(options):
            dropped[fault] += 1
        else:
            forms: dict[Variant, str] = {"localized": asked}
            questions.append(
                Question(str(row["question_idx"]), LANGUAGE, country, "culture", "CulturalBench", forms, options, answer)
            )
    return items_of(numbered(questions, dropped), seed=None), {"rows": len(rows), "dropped": dict(dropped)}


def countries_in(path: str) -> dict[str, str]:
    """Return the countries of a copy and their language."""
    return {country_key(row["country"], f"{place}: country"): LANGUAGE for place, row in LAYOUT.read(path)}
