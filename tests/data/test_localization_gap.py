"""The published localization-gap questions as items: a small file in their format, and the real one where it is at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from yapo.config import Config, DataConfig, SplitConfig
from yapo.data.localization_gap import CODES, load_localization_gap
from yapo.data.sources import known_countries, load_items, load_items_and_report
from yapo.data.split import leakage_report, split_facts
from yapo.errors import YapoError

REAL = Path(__file__).parents[3] / "shared" / "data" / "localization_gap" / "5choice_dataset_input_ready.csv"
DISHES = {"tr": "Iskender Kebap", "fr": "Ratatouille", "ru": "Borscht", "bn": "Mangshor Jhoi", "us": "Clam chowder"}
NAMES = {"tr": "Yusuf", "fr": "Lucas", "ru": "Mikhail", "bn": "Sabbir", "us": "Noah"}
MORE_NAMES = {"tr": "Eymen", "fr": "Tom", "ru": "Dmitriy", "bn": "Maruf", "us": "Henry"}
COUNTRY = {"Turkish": "Türkiye'de yaşıyorum.", "French": "Je vis en France.", "English": "I live in the United States."}
Row = dict[str, Any]


def row(language: str, subtask: str, question: str, options: dict[str, str], named: bool, order: str) -> Row:
    """A row as published; ``order`` names the countries of the options, from the first."""
    places = {f"option_{code}_idx": order.split().index(code) + 1 for code in CODES}
    texts = {f"option_{code}": text for code, text in options.items()}
    question = f"{COUNTRY[language]} {question}" if named else question
    return {"context": str(named), "lang": language, "subtask": subtask, "question": question, **texts, **places}


def pair(language: str, subtask: str, question: str, options: dict[str, str]) -> list[Row]:
    return [
        row(language, subtask, question, options, False, "bn fr ru tr us"),
        row(language, subtask, question, options, True, "us tr ru fr bn"),
    ]


def published() -> list[Row]:
    rows = [
        *pair("Turkish", "names", "Hangisi benim adım?", NAMES),
        *pair("Turkish", "names", "Hangisi benim adım?", MORE_NAMES),
        *pair("Turkish", "o1", "Yerel yemek hangisidir?", DISHES),
        *pair("French", "o1", "Quel plat local ?", DISHES),
        *pair("French", "o1", "Quel jour ?", {**DISHES, "us": "Borscht"}),
        *pair("English", "names", "In which city do I live?", NAMES),
        *pair("English", "o1", "What is a local dish?", DISHES),
    ]
    return sorted(rows, key=lambda cells: cells["context"])


def write(folder: Path, rows: list[Row]) -> str:
    path = folder / "5choice.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path)


def test_each_question_in_both_forms_with_the_options_of_one(tmp_path: Path) -> None:
    config = DataConfig(source="localization_gap", path=write(tmp_path, published()))
    items, report = load_items_and_report(config)
    assert report == {"pairs": 5, "dropped": {"an option stands there twice": 1, "question of another subtask": 1}}
    assert known_countries(config) == {"turkey": "turkish", "france": "french", "usa": "english"}
    assert set(items["variant"]) == {"localized", "nonlocalized"}
    assert set(items["language"]) == {"Turkish", "French", "English"}  # as settings and tables name them
    dish = items[(items["country"] == "turkey") & (items["topic"] == "o1")].set_index("variant")
    assert dish.loc["localized", "question"] == "Türkiye'de yaşıyorum. Yerel yemek hangisidir?"
    assert list(dish["options"]) == [["Mangshor Jhoi", "Ratatouille", "Borscht", "Iskender Kebap", "Clam chowder"]] * 2
    assert list(dish["answer"]) == ["Iskender Kebap"] * 2
    assert list(dish["answer_index"]) == [3, 3]
    assert list(dish["control_index"]) == [4, 4]
    assert set(items.loc[items["country"] == "usa", "control_index"]) == {-1}
    assert set(items["question_id"]) == {"names-00", "names-01", "o1-00"}


def _without(column: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{key: value for key, value in cells.items() if key != column} for cells in rows]


def _first(**cells: object) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{**rows[0], **cells}, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("option_bn"), "lacks the columns option_bn; give 5choice_dataset_input_ready.csv as published"),
        (_without("context"), "lacks the columns context"),
        (_first(lang="Turkis"), "row 1: lang=Turkis: unknown language; did you mean Turkish?"),
        (_first(context="yes"), "row 1: context is 'yes'; give True"),
        (_first(option_us_idx=1), "row 1: the options stand at 4, 2, 3, 1; give each of 1 to 5 once"),
        (_first(option_us_idx="x"), "the options stand at"),
        (_first(option_tr="Ahmet"), "has other options than its form without the country"),
        (lambda rows: rows[1:], "has no other form"),
        (lambda rows: rows[:1], "has no other form"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Callable[[list[Row]], list[Row]], message: str) -> None:
    path = write(tmp_path, change(published()))
    with pytest.raises(YapoError) as refused:
        load_localization_gap(path)
    assert message in str(refused.value)
    assert path in str(refused.value)


def test_what_is_not_the_file_is_refused(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none.csv"), str(tmp_path), str(tmp_path / "file.parquet")):
        with pytest.raises(YapoError):
            load_items(DataConfig(source="localization_gap", path=path))
    with pytest.raises(YapoError, match="needs a copy of 5choice_dataset"):
        DataConfig(source="localization_gap")
    with pytest.raises(YapoError, match="multiple-choice questions only"):
        Config(data=DataConfig(source="localization_gap", path="5choice.csv"))


@pytest.mark.skipif(not REAL.exists(), reason="the published file is not beside this copy of the project")
def test_the_published_file() -> None:
    items, report = load_items_and_report(DataConfig(source="localization_gap", path=str(REAL)))
    assert report == {"pairs": 543, "dropped": {"an option stands there twice": 7, "question of another subtask": 50}}
    assert items.groupby("country").size().to_dict() == {
        "bangladesh": 238,
        "france": 238,
        "russia": 236,
        "turkey": 236,
        "usa": 138,
    }
    counts = leakage_report(items, split_facts(items, SplitConfig()))
    assert (counts["shared_facts"], counts["shared_questions"]) == (0, 0)
    assert len(counts["joined"]["names-00"]) == 50  # one question with fifty sets of options is one fact
