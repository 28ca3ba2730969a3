"""GlobalOpinionQA's shares of answers, from small files in the published format."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.refusals import refused
from yapo.config import DataConfig
from yapo.data.global_opinions import countries_in, load_opinions
from yapo.data.sources import known_countries, load_items

from .published_rows import Change, Row, first, refuses, refuses_places, without, write


def row(question: str, selections: dict[str, list[float]], options: list[object]) -> Row:
    """A row as published: texts of Python values."""
    return {
        "question": question,
        "selections": f"defaultdict(<class 'list'>, {selections!r})",
        "options": repr(options),
        "source": "GAS",
    }


def rows() -> list[Row]:
    """Three questions; the second was not asked in Egypt, and the third's shares of Egypt are not whole."""
    return [
        row("Is the economy good?", {"Egypt": [0.2, 0.5, 0.3], "Britain": [0.6, 0.4, 0.0]}, ["Good", "Bad", "DK/Refused"]),
        row("Do you trust others?", {"Britain": [0.5, 0.5]}, ["Yes", "No"]),
        row("How often?", {"Egypt": [0.2, 0.2], "India (Current national sample)": [1.0, 0.0]}, [1, 2]),
        row("How much?", {"India (Old national sample)": [1.0, 0.0], "Egypt": [0.33, 0.66]}, ["Much", "Little"]),
    ]


@pytest.mark.parametrize("place", ["opinions.csv", "opinions.jsonl", "opinions.parquet", "data/global_opinions.csv"])
def test_the_shares_of_a_country(tmp_path: Path, place: str) -> None:
    path = Path(write(tmp_path / place, rows()))
    given = str(tmp_path if "/" in place else path)
    opinions, dropped = load_opinions(given, "egypt")
    assert [one.question_id for one in opinions] == ["opinion-1", "opinion-4"]
    assert opinions[0].options == ("Good", "Bad", "DK/Refused")
    assert opinions[0].shares == (0.2, 0.5, 0.3)
    assert opinions[1].shares == pytest.approx((1 / 3, 2 / 3))  # rounded ones are made to sum to 1
    assert dropped == {"the country was not asked": 1, "its shares do not sum to 1": 1}
    assert [one.options for one in load_opinions(given, "india")[0]] == [("1", "2")]
    assert countries_in(given) == ["egypt", "india", "uk"]
    assert known_countries(DataConfig(source="global_opinions", path=given)) == dict.fromkeys(("egypt", "india", "uk"), "english")


def test_they_are_no_items(tmp_path: Path) -> None:
    path = write(tmp_path / "opinions.csv", rows())
    message = "data.source=global_opinions: opinions have no right answer; the study opinions reads them"
    refused(lambda: load_items(DataConfig(source="global_opinions", path=path)), message)


@pytest.mark.parametrize(
    "text",
    [
        "defaultdict(<class 'list'>, {'Egypt': __import__('os').mkdir('made')})",
        "defaultdict(<class 'list'>, {'Egypt': [open('made', 'w')]})",
        "__import__('os').mkdir('made')",
        "[" * 5000,
        "defaultdict(<class 'list'>, {'Egypt': [nan, 1.0]})",
        "defaultdict(<class 'list'>, {'Egypt': [-0.5, 1.5, 0.0]})",
        "defaultdict(<class 'list'>, {'Egypt': ['a', 'b', 'c']})",
        "defaultdict(<class 'list'>, {'Egypt': 1.0})",
        "[('Egypt', [1.0])]",
        "",
    ],
)
def test_what_is_no_table_of_shares_is_refused_and_never_run(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "opinions.jsonl", first(selections=text)(rows()))
    refused(lambda: load_opinions(path, "egypt"), "row 1: selections is", "give shares by country, as published")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("selections"), "lacks the columns selections; give Anthropic/llm_global_opinions"),
        (first(options="[1, 2"), "row 1: options is '[1, 2'; give a list of texts"),
        (first(options="['Good', 'Bad']"), "row 1: egypt has 3 shares for 2 options"),
        (first(question=""), "row 1: question is ''; give a text"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    refuses(lambda path: load_opinions(path, "egypt"), tmp_path / "opinions.jsonl", rows(), change, message)


def test_a_country_that_was_not_asked_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "opinions.csv", rows())
    refused(lambda: load_opinions(path, "nepal"), f"studies.opinions.path={path}: nepal answered none", "leave it out")


def test_what_is_no_copy_is_refused(tmp_path: Path) -> None:
    refuses_places(lambda path: load_opinions(path, "egypt"), tmp_path)
