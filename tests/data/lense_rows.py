"""Rows as the hub has them, made from known facts: what the loader finds is compared with what was put in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd

from yapo.config import DataConfig
from yapo.data.deep_culture_lense import COUNTRIES
from yapo.data.sources import load_items_and_report

Rows = list[dict[str, Any]]

STATUSES = ("localized", "nolocalized")
WORDS = {
    "Arabic": [
        "الفطور",
        "الغداء",
        "العشاء",
        "الحلويات",
        "الأعراس",
        "العيد",
        "الجيران",
        "المواصلات",
        "الألعاب",
        "الأمثال",
        "الهدايا",
        "الديون",
    ],
    "Hindi": ["नाश्ता", "दोपहर का खाना", "मिठाई", "शादी", "त्योहार", "पड़ोसी", "यात्रा", "खेल", "कहावत", "उपहार", "बचत", "संगीत"],
    "English": [
        "breakfast",
        "lunch",
        "desserts",
        "weddings",
        "holidays",
        "neighbours",
        "commutes",
        "games",
        "idioms",
        "gifts",
        "loans",
        "songs",
    ],
}
ASK = {
    "Arabic": "شو بتعملوا عادة وقت {word}؟",
    "Hindi": "आप {word} के समय क्या करते हैं?",
    "English": "What do people do about {word}?",
}
NAME = {
    "Arabic": "أنا من {place}. شو بتعملوا بـ{place} وقت {word}؟",
    "Hindi": "मैं {place} से हूँ। {place} में आप {word} के समय क्या करते हैं?",
    "English": "I am from {place}. What do people do about {word} in {place}?",
}
WESTERN = {"Arabic": "نتناول {word} على الطريقة الغربية", "Hindi": "पश्चिमी ढंग का {word}", "English": "the standard {word}"}
ANSWER = {"Arabic": "جواب {place} عن {word}", "Hindi": "{place} वाला {word}", "English": "{place} style {word}"}


def fact(language: str, word: str) -> dict[str, str]:
    """The answers of all countries of a language, and the control."""
    answers = {place: ANSWER[language].format(place=place, word=word) for place in COUNTRIES[language]}
    return answers | {"western": WESTERN[language].format(word=word)}


def question(language: str, word: str, place: str, status: str) -> str:
    return (NAME if status == "localized" else ASK)[language].format(word=word, place=place)


def row(
    language: str,
    word: str,
    place: str,
    status: str,
    *,
    base: int = 1,
    turn: int = 0,
    option: str = "{k}) {text}",
    words: bool = True,
) -> dict[str, Any]:
    """One hub row; ``turn`` rotates the options."""
    answers = fact(language, word)
    names = list(answers)
    names = names[turn % len(names) :] + names[: turn % len(names)]
    asked = question(language, word, place, status)
    lines = [option.format(k=k, text=answers[name]) for k, name in enumerate(names, start=1)]
    return {
        "prompt_open_ended": asked,
        "chosen_open_ended": answers[place] + "." if words else None,
        "prompt-mcq": "\n".join([asked, *lines]),
        "chosen-mcq": f"\\boxed{{{names.index(place) + base}}}",
        "rejected_gemma_2_2b_it_mcq": "\\boxed{1}",
        "country": place,
        "localization_status": status,
    }


def hub_rows(languages: Iterable[str] = ("Arabic", "Hindi"), facts: int = 12, **how: Any) -> Rows:
    """Every fact asked of every country in both forms; the order of options differs from row to row."""
    return [
        row(language, word, place, status, turn=7 * i + 3 * j + k, **how)
        for language in languages
        for i, word in enumerate(WORDS[language][:facts])
        for j, place in enumerate(COUNTRIES[language])
        for k, status in enumerate(("localized", "nolocalized"))
    ]


def save(rows: Rows, folder: Path, kind: str = "saved") -> Path:
    """Write rows as ``datasets`` does: every fourth row into the split test."""
    data = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_list([one for i, one in enumerate(rows) if i % 4 != 3]),
            "test": datasets.Dataset.from_list([one for i, one in enumerate(rows) if i % 4 == 3]),
        }
    )
    if kind == "saved":
        data.save_to_disk(folder)
    elif kind == "parquet":
        (folder / "data").mkdir(parents=True)
        (folder / "README.md").write_text("---\nlicense: mit\n---\n# A copy\n")
        for name, split in data.items():
            split.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    else:
        datasets.Dataset.from_list(rows).save_to_disk(folder)
    return folder


def config(path: Path, **more: Any) -> DataConfig:
    return DataConfig(source="deep_culture_lense", path=str(path), **more)


def load(rows: Rows, folder: Path, kind: str = "saved", **more: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    items, report = load_items_and_report(config(save(rows, folder / "copy", kind), **more))
    assert report is not None
    assert json.loads(json.dumps(report)) == report
    return items, report


def plain(items: pd.DataFrame) -> pd.DataFrame:
    return items.assign(options=items["options"].map(list))


def dirty() -> tuple[Rows, dict[str, dict[str, int]]]:
    """A copy with one fault of every kind, and what must be reported of it."""
    rows = hub_rows()
    places = [one["country"] for one in rows]
    first = {place: places.index(place) for place in dict.fromkeys(places)}
    rows[first["egypt"]]["prompt-mcq"] = None
    rows[first["ksa"]]["prompt-mcq"] = rows[first["ksa"]]["prompt-mcq"].replace("\n3) ", "\n8) ")
    rows[first["levantine"]]["chosen-mcq"] = "the third"
    options = rows[first["morocco"]]["prompt-mcq"].split("\n")
    rows[first["morocco"]]["prompt-mcq"] = "\n".join([*options[:5], "5) " + options[1][3:]])
    rows[first["india"]]["chosen-mcq"] = "\\boxed{7}"
    rows[first["nepal"]]["chosen_open_ended"] = fact("Hindi", WORDS["Hindi"][0])["india"]
    rows.append(dict(rows[first["egypt"] + 1]))
    found = {
        "egypt": {"duplicate": 1, "empty": 1, "unpaired": 1},
        "ksa": {"options": 1, "unpaired": 1},
        "levantine": {"box": 1, "unpaired": 1},
        "morocco": {"repeated_options": 1, "unpaired": 1},
        "india": {"contradiction": 1, "unpaired": 1},
        "nepal": {"contradiction": 1, "unpaired": 1},
    }
    return rows, found
