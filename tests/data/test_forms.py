"""The form without the country: proposals, and what a reader may make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.refusals import refused, refused_value
from yapo.config.compose import compose
from yapo.data.country_names import country_key, country_names, find_country, named_in
from yapo.data.forms import propose
from yapo.data.sources import forms_of
from yapo.paths import Paths
from yapo.stages import data

from .published_rows import blend_rows, write

Marks = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.mark.parametrize(
    ("country", "question", "bare"),
    [
        ("uk", "What is a common snack for preschool kids in the UK?", "What is a common snack for preschool kids?"),
        ("egypt", "In Egypt, what is eaten at feasts?", "What is eaten at feasts?"),
        ("egypt", "What do Egyptians eat at an Egyptian wedding in Egypt?", "What do people eat at a wedding?"),
        ("egypt", "What is Egypt's national dish?", "What is the national dish?"),
        ("china", "In Chinese culture, what is lucky?", "In culture, what is lucky?"),
        ("south_korea", "What do the people of South Korea wear?", "What do the people wear?"),
        ("usa", "Who plays in the United States of America at noon?", "Who plays at noon?"),
        ("north_korea", "Which holiday is long in North Korea, and why?", "Which holiday is long, and why?"),
    ],
)
def test_the_country_is_cut_from_a_question(country: str, question: str, bare: str) -> None:
    cut = country_names()[country].cut_from(question)
    assert cut == bare
    assert named_in(question)
    assert not named_in(cut)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Tell us what the people eat.", ""),
        ("What is a polished table?", ""),
        ("Do people eat turkey?", "turkey"),
        ("Who won, the US or others?", "US"),
        ("Is EGYPT large?", "EGYPT"),
        ("Egypt’s rivers", "Egypt"),
        ("Ask a Brit or a Briton.", "Briton"),
    ],
)
def test_names_are_whole_words(text: str, name: str) -> None:
    assert named_in(text) == name


def test_countries_have_many_names_and_one_key() -> None:
    names = ["US", "United States", "united_states_of_america", "USA", "America"]
    assert {country_key(name, "x") for name in names} == {"usa"}
    assert (find_country("KSA"), find_country("türkiye"), find_country("timor-leste")) == ("ksa", "turkey", "timor_leste")
    assert find_country("Atlantis") is None
    refused(
        lambda: country_key("Egipt", "file: row 1: country"), "file: row 1: country=Egipt: unknown country; did you mean Egypt?"
    )
    keys = [name for one in country_names().values() for name in one.country]
    assert len({find_country(name) for name in keys}) == len(country_names())  # no name is of two countries
    assert all(find_country(name) == one.key for one in country_names().values() for name in one.country)


def overrides(folder: Path, *more: str) -> list[str]:
    path = folder / "mc.json"
    if not path.exists():
        write(path, blend_rows())
    return ["data=blend", f"data.path={path}", "data.forms=both", "methods=[imported]", "tasks=[mcq]", f"results={folder}", *more]


def proposals(folder: Path) -> Path:
    """Run the stage, which writes them and ends."""
    told = refused(lambda: data.main(compose(overrides(folder))), "data.review: 6 forms without their country wait for a reader")
    path = Paths.of(compose(overrides(folder))).forms
    assert str(path) in told
    assert not Paths.of(compose(overrides(folder))).items.exists()
    return path


def marked(folder: Path, marks: Marks) -> str:
    """Write what a reader makes of the proposals."""
    table = pd.read_csv(proposals(folder), keep_default_na=False).assign(decision="keep")
    marks(table).to_csv(folder / "read.csv", index=False)
    return str(folder / "read.csv")


def test_questions_that_a_reader_keeps_are_asked_in_both_forms(tmp_path: Path) -> None:
    def marks(table: pd.DataFrame) -> pd.DataFrame:
        assert not table["names"].any()
        table.loc[0, "decision"] = "drop"
        table.loc[1, "nonlocalized"] = "What do small children nibble?"
        return table

    config = compose(overrides(tmp_path, f"data.review={marked(tmp_path, marks)}"))
    assert forms_of(config.data) == ("localized", "nonlocalized")
    data.main(config)
    items = pd.read_parquet(Paths.of(config).items)
    asked = items.groupby("variant")["question"].nunique()
    assert asked["localized"] == 5
    assert "What do small children nibble?" in set(items["question"])
    assert not any(named_in(text) for text in items.loc[items["variant"] == "nonlocalized", "question"])
    pairs = items.groupby(["country", "question_id", "phrasing"])["variant"].agg(set)
    assert all(forms == {"localized", "nonlocalized"} for forms in pairs)


def change(**cells: str) -> Marks:
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        for name, text in cells.items():
            table.loc[0, name] = text
        return table

    return changed


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (change(decision=""), "row 1: decision=: choose one of keep, drop"),
        (change(decision="yes"), "row 1: decision=yes: choose one of"),
        (change(nonlocalized="What do Britons eat?"), "row 1: nonlocalized still says 'Britons'; take the name out"),
        (change(nonlocalized="What do they eat in spain?"), "still says 'spain'"),
        (change(nonlocalized=" "), "row 1: nonlocalized is empty"),
        (change(localized="Another question?"), "is none of the 6 questions; take the row out"),
        (lambda table: table.iloc[1:], "has no row for"),
        (lambda table: pd.concat([table, table.head(1)]), "row 7: decides a question that an earlier row decides"),
        (lambda table: table.drop(columns="decision"), "column decision is missing"),
        (lambda table: table.assign(decision="drop"), "every question is dropped; keep at least one"),
    ],
)
def test_a_review_edited_into_nonsense_is_refused(tmp_path: Path, marks: Marks, message: str) -> None:
    path = marked(tmp_path, marks)
    refused_value(lambda: data.main(compose(overrides(tmp_path, f"data.review={path}"))), message, path)
    assert not (tmp_path / "embedded" / "data" / "items.parquet").exists()


def test_a_proposal_says_which_name_is_left() -> None:
    items = pd.DataFrame([{"question_id": "q", "country": "uk", "question": "Does the UK have more pubs than Ireland?"}])
    assert propose(items)["names"].tolist() == ["UK"]


def test_where_the_other_form_cannot_be_made(tmp_path: Path) -> None:
    given = [*overrides(tmp_path)[2:], "data=atlas"]
    refused(lambda: data.main(compose(given)), "data.forms=both: not all questions of atlas name their country")
    refused(lambda: compose(["data=blend", "data.review=x.csv"]), "data.review=x.csv: goes with data.forms=both; set it too")
