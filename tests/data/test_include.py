"""INCLUDE as items, from small files in the published format."""

from __future__ import annotations

from pathlib import Path

import pytest

from yapo.config import DataConfig
from yapo.data.include import load_include
from yapo.data.sources import forms_of, known_countries, load_items_and_report

from .published_rows import Change, Row, first, refuses, refuses_places, without, write


def row(language: str, country: str, question: str, options: tuple[str, ...], answer: object) -> Row:
    """A row as published."""
    named = {f"option_{letter}": option for letter, option in zip("abcd", options, strict=True)}
    return {
        "language": language, "country": country, "domain": "Arts & Humanities", "subject": "History",
        "regional_feature": "culture", "level": "Academic", "question": question, **named, "answer": answer,
    }  # fmt: skip


def rows() -> list[Row]:
    """A language of one country, and a country of two languages."""
    return [
        row("Greek", "Greece", "Ποια είναι η πρωτεύουσα;", ("Πάτρα", "Αθήνα", "Βόλος", "όλα τα παραπάνω"), 1),
        row("Hindi", "India", "राजधानी क्या है?", ("दिल्ली", "मुंबई", "पटना", "जयपुर"), 0),
        row("Tamil", "India", "தலைநகரம் எது?", ("சென்னை", "மதுரை", "கோவை", "சேலம்"), 3),
    ]


def test_a_country_of_several_languages_is_several_countries(tmp_path: Path) -> None:
    config = DataConfig(source="include", path=write(tmp_path / "test.parquet", rows()))
    items, report = load_items_and_report(config)
    assert report == {"rows": 3, "dropped": {}}
    assert known_countries(config) == {"greece": "greek", "india-hindi": "hindi", "india-tamil": "tamil"}
    assert items["answer"].tolist() == ["Αθήνα", "दिल्ली", "சேலம்"]
    assert list(items["options"].iloc[0])[-1] == "όλα τα παραπάνω"  # in the published order
    assert set(items["variant"]) == {"nonlocalized"}
    assert forms_of(config) == ("nonlocalized",)


def test_a_copy_of_the_hub_is_read_without_its_validation_split(tmp_path: Path) -> None:
    for language, own in {"Greek": rows()[:1], "Hindi": rows()[1:2]}.items():
        write(tmp_path / language / "test-00000-of-00001.parquet", own)
        write(tmp_path / language / "validation-00000-of-00001.parquet", [{**own[0], "question": "another"}])
    config = DataConfig(source="include", path=str(tmp_path))
    items, _ = load_items_and_report(config)
    assert known_countries(config) == {"greece": "greek", "india": "hindi"}
    assert "another" not in set(items["question"])


def test_rows_with_the_same_option_twice_are_dropped(tmp_path: Path) -> None:
    _, report = load_include(write(tmp_path / "test.csv", first(option_d="Αθήνα")(rows())))
    assert report["dropped"] == {"an option stands there twice": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("option_c"), "lacks the columns option_c; give CohereLabs/include-base-44"),
        (first(answer=4), "row 1: answer is 4; give 0 to 3"),
        (first(answer="B"), "row 1: answer is 'B'; give 0 to 3"),
        (first(answer=True), "row 1: answer is True; give 0 to 3"),
        (first(country="Atlantis"), "row 1: country=Atlantis: unknown country"),
        (first(language="a/b"), "row 1: language 'a/b' has a slash"),
        (first(question=None), "row 1: question is None; give a text"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    refuses(load_include, tmp_path / "test.jsonl", rows(), change, message)


def test_what_is_no_copy_is_refused(tmp_path: Path) -> None:
    refuses_places(load_include, tmp_path)
