"""INCLUDE (Romanou et al., arXiv 2411.19799): exam questions from the countries where a language is spoken, in that language.

There is one form: the question as the exam asks it, counted as non-localized though a few name their country. Options stand in
the published order: exams have options such as "all of these".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pandas as pd

from yapo.checks import Variant
from yapo.data.country_names import country_key
from yapo.data.published import LETTERS, Cells, Layout, Question, items_of, numbered, options_fault, text_of
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.names import check_name, folder_of

OPTIONS = tuple(f"option_{letter.lower()}" for letter in LETTERS)
LAYOUT = Layout(
    "CohereLabs/include-base-44 of the hub",
    "*test*",
    ("language", "country", "domain", "subject", "question", *OPTIONS, "answer"),
)


def load_include(path: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the items of a copy, and how many rows were left out, by reason.

    Raises:
        YapoError: the copy cannot be read, or a row is not as published.
    """
    questions: list[Question] = []
    dropped: Counter[str] = Counter()
    rows = LAYOUT.read(path)
    for number, ((place, row), (country, language)) in enumerate(zip(rows, _places(rows), strict=True), start=1):
        asked, answer, options = text_of(row, "question", place), _answer(row["answer"], place), [row[name] for name in OPTIONS]
        if fault := options_fault(options):
            dropped[fault] += 1
            continue
        topic, category = text_of(row, "subject", place), text_of(row, "domain", place)
        forms: dict[Variant, str] = {"nonlocalized": asked}
        questions.append(Question(f"{country}-{number}", language, country, topic, category, forms, options, answer))
    return items_of(numbered(questions, dropped), seed=None), {"rows": len(rows), "dropped": dict(dropped)}


def countries_in(path: str) -> dict[str, str]:
    """Return the countries of a copy and their language.

    A country that is examined in several languages is one country for each: ``india-hindi``, ``india-tamil``.
    """
    return dict(_places(LAYOUT.read(path)))


def _places(rows: list[tuple[str, Cells]]) -> list[tuple[str, str]]:
    """Return the key of the country and the language of each row."""
    found = [
        (country_key(row["country"], f"{place}: country"), check_name(text_of(row, "language", place), f"{place}: language"))
        for place, row in rows
    ]
    languages: dict[str, set[str]] = defaultdict(set)
    for country, language in found:
        languages[country].add(language)
    return [
        (country if len(languages[country]) == 1 else f"{country}-{folder_of(language)}", language) for country, language in found
    ]


def _answer(value: object, place: str) -> int:
    """Return which option is right, from 0; a csv file has the number as text."""
    text = str(value).strip()
    if isinstance(value, bool) or text not in map(str, range(len(OPTIONS))):
        raise YapoError(f"{place}: answer is {shown(value)}; give 0 to {len(OPTIONS) - 1}")
    return int(text)
