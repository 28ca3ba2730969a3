"""NormAd (Rao et al., arXiv 2404.12464): is what happens in a story acceptable, in each of 75 countries?

Stories name no country. The localized form says where the story happens, as the paper's condition "country" does; stories that
name a country themselves are left out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from yapo.checks import Variant
from yapo.data.country_names import country_key, country_names, named_in
from yapo.data.published import Layout, Question, items_of, numbered, text_of
from yapo.data.text import shown
from yapo.errors import YapoError

LAYOUT = Layout(
    "akhilayerukola/NormAd of the hub",
    "*",
    ("ID", "Country", "Axis", "Subaxis", "Story", "Gold Label"),
)
LANGUAGE = "English"
LABELS = ("yes", "no", "neutral")
QUESTION = "Is this socially acceptable?"


def load_normad(path: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the items of a copy, each in both forms, and how many stories were left out, by reason; the seed orders the options.

    Raises:
        YapoError: the copy cannot be read, or a row is not as published.
    """
    questions: list[Question] = []
    dropped: Counter[str] = Counter()
    rows = LAYOUT.read(path)
    for place, row in rows:
        country = country_key(row["Country"], f"{place}: Country")
        story, label = text_of(row, "Story", place), text_of(row, "Gold Label", place).lower()
        if label not in LABELS:
            raise YapoError(f"{place}: Gold Label is {shown(row['Gold Label'])}; give one of {', '.join(LABELS)}")
        if named_in(story):
            dropped["the story names a country"] += 1
            continue
        where = country_names()[country].place
        forms: dict[Variant, str] = {
            "localized": f"This happens {where}. {story} {QUESTION}",
            "nonlocalized": f"{story} {QUESTION}",
        }
        topic, category = text_of(row, "Subaxis", place), text_of(row, "Axis", place)
        options = [name.capitalize() for name in LABELS]
        questions.append(
            Question(f"{country}-{row['ID']}", LANGUAGE, country, topic, category, forms, options, LABELS.index(label))
        )
    return items_of(numbered(questions, dropped), seed), {"rows": len(rows), "dropped": dict(dropped)}


def countries_in(path: str) -> dict[str, str]:
    """Return the countries of a copy and their language."""
    return {country_key(row["Country"], f"{place}: Country"): LANGUAGE for place, row in LAYOUT.read(path)}
