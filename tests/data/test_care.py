"""CARE's rated answers as preference pairs, from small files in both published layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.refusals import refused
from yapo.api.pairs import read_pairs
from yapo.config import DataConfig, SplitConfig
from yapo.config.compose import compose
from yapo.data.behaviours import behaviours_in, load_behaviour
from yapo.data.care import load_care
from yapo.data.sources import known_countries, load_items
from yapo.files import read_json
from yapo.stages import preferences

from .published_rows import Change, Row, first, refuses, refuses_places, without, write


def row(culture: str, question: str, response: str | None, rating: int) -> Row:
    """A row in the layout published now."""
    return {
        "question": question, "answer": "", "response": response, "human_rating": rating, "source": "LLM",
        "cul_type": "Social norms", "associated_culture": culture,
    }  # fmt: skip


def earlier(rows: list[Row]) -> list[Row]:
    """The rows in the earlier layout."""
    return [
        {
            "source": one["source"], "question": one["question"], "response": one["response"], "culture_type": one["cul_type"],
            "associated_culture": one["associated_culture"], "rating": str(one["human_rating"]),
        }
        for one in rows
    ]  # fmt: skip


def rows(count: int = 1) -> list[Row]:
    """``count`` questions to each of two cultures, and two questions that give no pair."""
    made = []
    for i in range(count):
        for culture, question in (("Chinese", "为什么不喜欢数字4？"), ("Arab", "ما معنى القهوة السادة؟")):
            asked = f"{question} {i}"
            made += [row(culture, asked, f"{answer} {i}", n) for answer, n in (("middling", 6), ("best", 9), ("worst", 2))]
            made.append(row(culture, asked, f"also the best {i}", 9))
    alike = [row("Chinese", "Rated alike?", text, 5) for text in ("one", "other")]
    return [*made, *alike, row("Arab", "Once?", "alone", 4), row("Arab", "Once?", None, 1)]


@pytest.mark.parametrize("layout", [list, earlier])
@pytest.mark.parametrize("place", ["care.parquet", "care.jsonl", "care.csv", "copy/data/train-00000-of-00001.parquet"])
def test_the_best_answer_is_chosen_over_the_worst(tmp_path: Path, place: str, layout: Change) -> None:
    path = Path(write(tmp_path / place, layout(rows())))
    pairs, counts = load_care(str(tmp_path / "copy" if "/" in place else path))
    assert pairs["culture"].tolist() == ["chinese", "arab"]
    assert pairs["chosen"].tolist() == ["best 0", "best 0"]
    assert pairs["rejected"].tolist() == ["worst 0", "worst 0"]
    assert counts == {
        "rows": 12,
        "pairs": 2,
        "dropped": {"a question whose answers are rated alike": 2, "an empty answer": 1},
    }


def test_preference_files_that_training_and_the_study_of_behaviours_read(tmp_path: Path) -> None:
    path = write(tmp_path / "care.jsonl", rows(12))
    preferences.main(compose(["data=care", f"data.path={path}", f"results={tmp_path}"]))
    folder = tmp_path / "embedded" / "preferences"
    report = read_json(folder / "report.json")
    assert (report["source"], report["licence"], report["pairs"]) == ("CARE", "mit", 24)
    pairs, left_out = read_pairs(folder / "arab" / "train.jsonl")
    assert (len(pairs), left_out) == (12, {})
    assert behaviours_in(str(folder)) == ["arab", "chinese"]
    behaviour, _ = load_behaviour(str(folder), "chinese", SplitConfig())
    assert set(behaviour["split"]) == {"train", "validation", "test"}


def test_they_are_no_items_and_other_data_no_rated_answers(tmp_path: Path) -> None:
    path = write(tmp_path / "care.jsonl", rows())
    assert known_countries(DataConfig(source="care", path=path)) == {"arab": "preferences", "chinese": "preferences"}
    refused(lambda: load_items(DataConfig(source="care", path=path)), "data.source=care: rated answers are no items")
    refused(lambda: preferences.main(compose([])), "data.source=atlas: holds no rated answers; give data=care")
    alike = write(tmp_path / "alike.jsonl", rows(0))
    given = ["data=care", f"data.path={alike}", f"results={tmp_path}"]
    refused(lambda: preferences.main(compose(given)), f"data.path={alike}: gives no pair")
    refused(
        lambda: preferences.main(compose([*given, "data.role=test"])), "is for evaluation only, and preference pairs are made"
    )
    assert not (tmp_path / "embedded").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("response"), "lacks the columns response; give geyang627/CARE"),
        (without("human_rating"), "row 1: has no column human_rating or rating"),
        (first(human_rating=11), "row 1: human_rating is 11; give a whole number from 1 to 10"),
        (first(human_rating="good"), "row 1: human_rating is 'good'"),
        (first(associated_culture=None), "row 1: associated_culture is None; give a text"),
        (first(associated_culture="China/Tibet"), "row 1: associated_culture 'china/tibet' has a slash"),
        (first(question=""), "row 1: question is ''"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    refuses(load_care, tmp_path / "care.jsonl", rows(), change, message)


def test_what_is_no_copy_is_refused(tmp_path: Path) -> None:
    refuses_places(load_care, tmp_path)
