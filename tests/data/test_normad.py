"""NormAd as items, from a small file in the published format."""

from __future__ import annotations

from pathlib import Path

import pytest

from yapo.config import DataConfig
from yapo.data.normad import load_normad
from yapo.data.sources import known_countries, load_items_and_report

from .published_rows import Change, Row, first, refuses, refuses_places, without, write


def row(number: int, country: str, story: str, label: str) -> Row:
    """A row as published."""
    return {
        "ID": number, "Country": country, "Background": "### Basic Etiquette", "Axis": "Basic Etiquette", "Subaxis": "Visiting",
        "Value": "Respect", "Rule-of-Thumb": "Take your shoes off.", "Story": story, "Explanation": "", "Gold Label": label,
    }  # fmt: skip


def rows() -> list[Row]:
    """Stories of three countries; one of them names its own."""
    return [
        row(1, "egypt", "At a dinner, Sam left a little food on the plate.", "yes"),
        row(2, "united_states_of_america", "At a dinner, Lee left a little food on the plate.", "neutral"),
        row(3, "saudi_arabia", "At a dinner, Kim ate with the left hand.", "no"),
        row(4, "egypt", "An Egyptian host offered Sam tea, and Sam refused at once.", "no"),
    ]


@pytest.mark.parametrize("place", ["normad.csv", "normad.parquet", "copy/data/train.csv"])
def test_stories_with_and_without_their_country(tmp_path: Path, place: str) -> None:
    path = Path(write(tmp_path / place, rows()))
    config = DataConfig(source="normad", path=str(tmp_path / "copy" if "/" in place else path))
    items, report = load_items_and_report(config)
    assert report == {"rows": 4, "dropped": {"the story names a country": 1}}
    assert known_countries(config) == {"egypt": "english", "usa": "english", "ksa": "english"}
    first_two = items[items["country"] == "egypt"]
    assert first_two["variant"].tolist() == ["localized", "nonlocalized"]
    assert first_two["question"].tolist() == [
        "This happens in Egypt. At a dinner, Sam left a little food on the plate. Is this socially acceptable?",
        "At a dinner, Sam left a little food on the plate. Is this socially acceptable?",
    ]
    assert items[items["country"] == "usa"]["question"].iloc[0].startswith("This happens in the United States. ")
    assert items["answer"].tolist() == ["Yes", "Yes", "Neutral", "Neutral", "No", "No"]
    assert set(items["topic"]) == {"Visiting"}


def test_the_labels_change_places_with_the_seed(tmp_path: Path) -> None:
    many = [row(i, "egypt", f"Sam waited {i} minutes.", ("yes", "no", "neutral")[i % 3]) for i in range(60)]
    items, _ = load_normad(write(tmp_path / "normad.csv", many), 0)
    places = items[items["variant"] == "localized"].groupby("answer")["answer_index"].nunique()
    assert places.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("Story"), "lacks the columns Story; give akhilayerukola/NormAd"),
        (first(Country="atlantis"), "row 1: Country=atlantis: unknown country"),
        (first(**{"Gold Label": "maybe"}), "row 1: Gold Label is 'maybe'; give one of yes, no, neutral"),
        (first(Story=""), "row 1: Story is ''; give a text"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    refuses(lambda path: load_normad(path, 0), tmp_path / "normad.jsonl", rows(), change, message)


def test_what_is_no_copy_is_refused(tmp_path: Path) -> None:
    refuses_places(lambda path: load_normad(path, 0), tmp_path)
