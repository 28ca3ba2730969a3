"""The localization-gap questions (github.com/vminvsky/localization-gap, MIT; Veselovsky et al., arXiv 2504.10191) as items.

120 multiple-choice questions in each of five languages, once with the country named and once without; every question has one
option for each of five countries, and the right one is that of the country where the language is spoken. The file is
``analysis/5choice_dataset_input_ready.csv`` of the repository.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.data.records import read_records
from yapo.data.text import shown, text_key
from yapo.errors import YapoError, unknown

# The country of each language, and the code that its option has in the file's columns.
COUNTRIES = {
    "Turkish": ("turkey", "tr"),
    "French": ("france", "fr"),
    "Russian": ("russia", "ru"),
    "Bengali": ("bangladesh", "bn"),
    "English": ("usa", "us"),
}
CODES = tuple(code for _, code in COUNTRIES.values())
WESTERN = "us"
COLUMNS = ("context", "lang", "subtask", "question", *(f"option_{code}{end}" for code in CODES for end in ("", "_idx")))
# In the published file these ask for a city and offer names.
WRONG_QUESTION = ("English", "names")

Cells = dict[str, Any]


def countries_in(path: str) -> dict[str, str]:
    """Return the countries of a copy of the file, and each one's language.

    Raises:
        YapoError: see ``load_localization_gap``.
    """
    found = {row["lang"] for _, row in _rows(Path(path))}
    return {country: language.lower() for language, (country, _) in COUNTRIES.items() if language in found}


def load_localization_gap(path: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the items of a copy of the file, and how many pairs were dropped.

    Both forms of a question have its options in the order of the form that names no country. Pairs with an option that stands
    there twice are dropped, and so are those whose published question is another one's.

    Args:
        path: the csv file.

    Returns:
        Items (not yet checked), and counts: ``pairs``, and ``dropped`` by reason.

    Raises:
        YapoError: the file cannot be read, lacks a column, or a row contradicts itself or has no other form.
    """
    forms: dict[bool, dict[tuple[str, str, int], tuple[str, Cells]]] = {False: {}, True: {}}
    counted: Counter[tuple[bool, str, str]] = Counter()
    for place, row in _rows(Path(path)):
        named, language, subtask = _named(place, row), str(row["lang"]), str(row["subtask"])
        number = counted[named, language, subtask]
        counted[named, language, subtask] += 1
        forms[named][language, subtask, number] = place, row
    for key in forms[True].keys() ^ forms[False].keys():
        place, _ = (forms[True] | forms[False])[key]
        raise YapoError(f"{place}: has no other form (with and without the country); give the whole file")
    items: list[dict[str, object]] = []
    dropped: Counter[str] = Counter()
    for (language, subtask, number), (place, row) in forms[False].items():
        options = _options(place, row)
        other_place, other = forms[True][language, subtask, number]
        if set(_options(other_place, other).values()) != set(options.values()):
            raise YapoError(f"{other_place}: has other options than its form without the country ({place}); give the whole file")
        if (language, subtask) == WRONG_QUESTION:
            dropped["question of another subtask"] += 1
        elif len(set(map(text_key, options.values()))) < len(options):
            dropped["an option stands there twice"] += 1
        else:
            items += _pair(language, subtask, number, options, row, other)
    return pd.DataFrame(items), {"pairs": len(items) // 2, "dropped": dict(dropped)}


def _rows(path: Path) -> list[tuple[str, Cells]]:
    """Return the rows of the file, each with a text that tells its place."""
    if path.suffix != ".csv":
        raise YapoError(f"data.path={shown(str(path), bare=True)}: not a csv file; give 5choice_dataset_input_ready.csv")
    if not path.is_file():
        raise YapoError(f"data.path={path}: no such file; take analysis/{path.name} from github.com/vminvsky/localization-gap")
    records = read_records(path)
    missing = [column for column in COLUMNS if column not in records.columns]
    if missing:
        raise YapoError(f"{path}: lacks the columns {', '.join(missing)}; give 5choice_dataset_input_ready.csv as published")
    if records.faults:
        raise YapoError(f"{path}: row {records.faults[0].row}: {records.faults[0].detail}")
    rows = [(f"{path}: row {number}", row) for number, row in records.rows]
    for place, row in rows:
        if row["lang"] not in COUNTRIES:
            raise unknown("language", f"{place}: lang", str(row["lang"]), COUNTRIES)
    return rows


def _named(place: str, row: Cells) -> bool:
    """Return whether a row names the country."""
    if row["context"] not in ("True", "False"):
        raise YapoError(f"{place}: context is {shown(row['context'])}; give True (the country is named) or False")
    return bool(row["context"] == "True")


def _options(place: str, row: Cells) -> dict[str, str]:
    """Return the options in their order, by the code of their country."""
    at = {str(row[f"option_{code}_idx"]).strip(): code for code in CODES}
    wanted = [str(k) for k in range(1, len(CODES) + 1)]
    if sorted(at) != wanted:
        raise YapoError(f"{place}: the options stand at {', '.join(at)}; give each of 1 to {len(CODES)} once (option_..._idx)")
    return {at[k]: str(row[f"option_{at[k]}"]).strip() for k in wanted}


def _pair(language: str, subtask: str, number: int, options: dict[str, str], row: Cells, named: Cells) -> list[dict[str, object]]:
    """Return the two items of a question."""
    (country, code), order = COUNTRIES[language], list(options)
    shared = {
        "question_id": f"{subtask}-{number:02d}",
        "language": language,
        "country": country,
        "topic": subtask,
        "category": "localization gap",
        "phrasing": 0,
        "options": list(options.values()),
        "answer_index": order.index(code),
        "answer": options[code],
        "control_index": -1 if code == WESTERN else order.index(WESTERN),
    }
    forms = (("localized", named), ("nonlocalized", row))
    return [{**shared, "variant": variant, "question": str(cells["question"]).strip()} for variant, cells in forms]
