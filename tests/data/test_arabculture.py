"""ArabCulture as items, from small files in the published format."""

from __future__ import annotations

from pathlib import Path

import pytest

from yapo.config import DataConfig
from yapo.data.arabculture import load_arabculture
from yapo.data.sources import known_countries, load_items_and_report

from .published_rows import Change, Row, first, refuses, refuses_places, without, write

KEYS = {"arabic_keys": ["أ", "ب", "ج"], "english_keys": ["A", "B", "C"]}


def row(country: str, number: int, statement: str, texts: list[str], answer: str = "A", discard: str = "No") -> Row:
    """A row as published."""
    return {
        "worker_id": f"{country}-1", "sample_id": f"{number} | Breakfast", "sub_topic": "الافطار", "first_statement": statement,
        "options": {**KEYS, "text": texts}, "answer_key": {"arabic_answer_key": "أ", "english_answer_key": answer},
        "relevant_to_this_country": "Yes", "relevant_to_other_countries": "No", "should_discard": discard,
        "country": country, "region": "Levant",
    }  # fmt: skip


def rows() -> list[Row]:
    """Sentences of three countries: one names a country, one is to be discarded, one mentions the prayer at sunset."""
    food = ["يشمل الإفطار الفول مع الخبز", "يشمل الإفطار البرجر", "يشمل الإفطار البيتزا"]
    return [
        row("Jordan", 1, "يتناول محمد وجبة الإفطار بعد صلاة الفجر", food),
        row("UAE", 1, "يشرب أحمد القهوة بعد صلاة المغرب", ["مع التمر", "مع الكعك", "مع الدونات"], "B"),
        row("Egypt", 1, "تأكل العائلة المصرية طبقا في الصباح", food),
        row("Egypt", 2, "تأكل العائلة طبقا في الصباح", food, discard="Yes"),
        row("Egypt", 3, "تأكل العائلة طبقا في المساء", food, "C"),
    ]


@pytest.mark.parametrize("place", ["test.parquet", "test.jsonl", "test.csv", "copy/Jordan/test-00000-of-00001.parquet"])
def test_sentences_with_and_without_their_country(tmp_path: Path, place: str) -> None:
    path = Path(write(tmp_path / place, rows()))
    config = DataConfig(source="arabculture", path=str(tmp_path / "copy" if "/" in place else path))
    items, report = load_items_and_report(config)
    assert report == {"rows": 5, "dropped": {"marked to be discarded": 1, "the sentence names a country": 1}}
    assert known_countries(config) == {"jordan": "arabic", "uae": "arabic", "egypt": "arabic"}
    jordan = items[items["country"] == "jordan"]
    assert jordan["variant"].tolist() == ["localized", "nonlocalized"]
    assert jordan["question"].tolist() == [f"في الأردن: {rows()[0]['first_statement']}", rows()[0]["first_statement"]]
    assert set(items.loc[items["country"] == "uae", "answer"]) == {"مع الكعك"}
    assert set(items["topic"]) == {"Breakfast"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("answer_key"), "lacks the columns answer_key; give MBZUAI/ArabCulture"),
        (first(country="France"), "row 1: country=france: unknown country"),
        (first(country="Atlantis"), "row 1: country=Atlantis: unknown country"),
        (first(answer_key={"english_answer_key": "D"}), "row 1: answer_key is 'D'; give one of A, B, C"),
        (first(answer_key="A"), "row 1: answer_key is 'A'; give an object with english_answer_key"),
        (first(options={"text": "bread"}), "row 1: options.text is 'bread'; give a list of texts"),
        (first(options=["bread"]), "row 1: options is ['bread']; give an object with text"),
        (first(first_statement=None), "row 1: first_statement is None; give a text"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    refuses(lambda path: load_arabculture(path, 0), tmp_path / "test.jsonl", rows(), change, message)


def test_what_is_no_copy_is_refused(tmp_path: Path) -> None:
    refuses_places(lambda path: load_arabculture(path, 0), tmp_path)
