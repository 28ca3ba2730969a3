"""ArabCulture (Sadallah et al., arXiv 2502.12788): how does a sentence about everyday life go on, in each of 13 Arab countries?

The sentences name no country. The localized form names it in front, as the paper's prompts do; sentences that name one are left
out, and rows that their authors marked to be discarded.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

import pandas as pd

from yapo.checks import Variant
from yapo.data.country_names import country_key
from yapo.data.naming import name_pattern
from yapo.data.published import Cells, Layout, Question, items_of, json_object, letter_index, numbered, options_fault, text_of
from yapo.data.text import shown, text_key
from yapo.errors import YapoError, unknown

LAYOUT = Layout(
    "MBZUAI/ArabCulture of the hub",
    "*test*",
    ("worker_id", "sample_id", "first_statement", "options", "answer_key", "country"),
)
LANGUAGE = "Arabic"
# Arabic names of the countries, and what their people are called.
NAMES = {
    "algeria": ("الجزائر", "جزائري"),
    "egypt": ("مصر", "مصري"),
    "jordan": ("الأردن", "أردني"),
    "ksa": ("السعودية", "سعودي"),
    "lebanon": ("لبنان", "لبناني"),
    "libya": ("ليبيا", "ليبي"),
    "morocco": ("المغرب", "مغربي"),
    "palestine": ("فلسطين", "فلسطيني"),
    "sudan": ("السودان", "سوداني"),
    "syria": ("سوريا", "سوري"),
    "tunisia": ("تونس", "تونسي"),
    "uae": ("الإمارات", "إماراتي"),
    "yemen": ("اليمن", "يمني"),
}
_ATTACHED = ("ال", "و", "ب", "ل", "ف", "ك", "وال", "بال", "لل", "فال", "كال")
_ENDINGS = ("", "ة", "ون", "ين", "ات")
_MOROCCO = ("في المغرب", "بالمغرب")  # the bare name is also the prayer at sunset


def load_arabculture(path: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the items of a copy, each in both forms, and how many rows were left out, by reason; the seed orders the options.

    Raises:
        YapoError: the copy cannot be read, or a row is not as published.
    """
    questions: list[Question] = []
    dropped: Counter[str] = Counter()
    rows = LAYOUT.read(path)
    for place, row in rows:
        country, statement = _country(row, place), text_of(row, "first_statement", place)
        options = _part(row, "options", "text", place)
        if not isinstance(options, list):
            raise YapoError(f"{place}: options.text is {shown(options)}; give a list of texts")
        answer = letter_index(_part(row, "answer_key", "english_answer_key", place), len(options), f"{place}: answer_key")
        fault = options_fault(options)
        if str(row.get("should_discard", "No")).strip() == "Yes":
            fault = "marked to be discarded"
        elif _country_names().search(text_key(statement)):
            fault = "the sentence names a country"
        if fault:
            dropped[fault] += 1
            continue
        forms: dict[Variant, str] = {"localized": f"في {NAMES[country][0]}: {statement}", "nonlocalized": statement}
        sample = text_of(row, "sample_id", place)
        topic = sample.partition("|")[2].strip() or "culture"
        question_id = f"{text_of(row, 'worker_id', place)} {sample}"
        questions.append(Question(question_id, LANGUAGE, country, topic, "ArabCulture", forms, options, answer))
    return items_of(numbered(questions, dropped), seed), {"rows": len(rows), "dropped": dict(dropped)}


def countries_in(path: str) -> dict[str, str]:
    """Return the countries of a copy and their language."""
    return {_country(row, place): LANGUAGE for place, row in LAYOUT.read(path)}


def _country(row: Cells, place: str) -> str:
    key = country_key(row["country"], f"{place}: country")
    if key not in NAMES:
        raise unknown("country", f"{place}: country", key, NAMES)
    return key


def _part(row: Cells, column: str, name: str, place: str) -> object:
    """Return a part of a cell that holds several: a JSON object in csv, one that is read already elsewhere."""
    value = json_object(row[column])
    if value is None or name not in value:
        raise YapoError(f"{place}: {column} is {shown(row[column])}; give an object with {name}")
    part: object = value[name]
    return part


@cache
def _country_names() -> re.Pattern[str]:
    named = [country for key, (country, _) in NAMES.items() if key != "morocco"]
    names = [*_MOROCCO, *named, *(name.removeprefix("ال") for name in named)]
    people = [f"{people}{ending}" for _, people in NAMES.values() for ending in _ENDINGS]
    return name_pattern([*names, *people], _ATTACHED)
