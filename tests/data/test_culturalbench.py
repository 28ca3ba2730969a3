"""CulturalBench-Easy as items, from a small file in the published format."""

from __future__ import annotations

from pathlib import Path

import pytest

from yapo.config import Config, DataConfig
from yapo.data.culturalbench import load_culturalbench
from yapo.data.sources import known_countries, load_items_and_report
from yapo.errors import YapoError

from .published_rows import Change, Row, first, refuses, refuses_places, without, write


def row(number: int, question: str, options: tuple[str | None, ...], answer: str, country: str) -> Row:
    """A row as published."""
    named = {f"prompt_option_{letter}": option for letter, option in zip("abcd", options, strict=True)}
    return {
        "data_idx": number,
        "question_idx": number,
        "prompt_question": question,
        **named,
        "answer": answer,
        "country": country,
    }


def rows() -> list[Row]:
    """Four questions; the last lacks an option, as one of Spain's does in the published file."""
    return [
        row(0, "In Dutch culture, what is a birthday cake?", ("Vlaai", "Kransekaka", "Pavlova", "Baklava"), "A", "Netherlands"),
        row(1, "When do people in Egypt take off their shoes?", ("Never", "At home", "At work", "All of these"), "B", "Egypt"),
        row(1, "When do people in Egypt put shoes on?", ("Never", "At home", "At work", "All of these"), "C", "Egypt"),
        row(2, "What do Spaniards eat at New Year?", ("Grapes", "Lentils", "Rice", None), "A", "Spain"),
    ]


@pytest.mark.parametrize("place", ["Easy.csv", "Easy.jsonl", "Easy.parquet", "CulturalBench-Easy/test.parquet"])
def test_a_file_and_a_copy_of_the_hub_give_the_same_items(tmp_path: Path, place: str) -> None:
    path = Path(write(tmp_path / place, rows()))
    write(tmp_path / "CulturalBench-Hard" / "test.parquet", [{"prompt_option": "x"}])
    config = DataConfig(source="culturalbench", path=str(tmp_path if "/" in place else path))
    items, report = load_items_and_report(config)
    assert report == {"rows": 4, "dropped": {"an option is missing": 1}}
    assert known_countries(config) == {"netherlands": "english", "egypt": "english", "spain": "english"}
    assert items["answer"].tolist() == ["Vlaai", "At home", "At work"]
    assert items["phrasing"].tolist() == [0, 0, 1]  # two questions of one number
    assert list(items["options"].iloc[1]) == ["Never", "At home", "At work", "All of these"]  # in the published order
    assert set(items["variant"]) == {"localized"}


def test_a_question_that_comes_again_is_dropped(tmp_path: Path) -> None:
    _, report = load_culturalbench(write(tmp_path / "Easy.jsonl", [*rows(), {**rows()[0], "question_idx": 9}]))
    assert report["dropped"]["the same question again"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("prompt_option_d"), "lacks the columns prompt_option_d; give kellycyy/CulturalBench"),
        (first(country="Hollland"), "row 1: country=Hollland: unknown country; did you mean"),
        (first(answer="E"), "row 1: answer is 'E'; give one of A, B, C, D"),
        (first(answer=True), "row 1: answer is True; give one of"),
        (first(prompt_question=" "), "row 1: prompt_question is ' '; give a text"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    refuses(load_culturalbench, tmp_path / "Easy.jsonl", rows(), change, message)


def test_what_is_no_copy_is_refused(tmp_path: Path) -> None:
    refuses_places(load_culturalbench, tmp_path)


def test_it_is_multiple_choice_only() -> None:
    with pytest.raises(YapoError, match=r"give \[mcq\]: culturalbench asks multiple-choice questions only"):
        Config(data=DataConfig(source="culturalbench", path="Easy.csv"))
    with pytest.raises(YapoError, match=r"data.path=: needs a copy of the set"):
        DataConfig(source="culturalbench")
