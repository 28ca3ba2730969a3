"""The human sheet: blind, in a random order, safe in a spreadsheet; its way back, and the sheets that are refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.refusals import refused
from tests.studies.open_answers.answers import rows_of
from yapo.evaluation.caricatures import Caricatures
from yapo.reporting.tables import TableOptions
from yapo.studies.open_answers.human_sheet import COLUMNS, LIST, rated_answers, read_sheet, read_sheets, sheet_text
from yapo.studies.open_answers.raters import agreement_cells, all_ratings
from yapo.studies.open_answers.table import agreement_table

FACTS = "abcdef"
ODD = '=HYPERLINK("http://x")'
TEXTS = {
    ("egypt", method, fact): [text, "never judged"]
    for fact in FACTS
    for method, text in (("baseline", "the same"), ("caa", "the same"), ("yapo", ODD if fact == "a" else f"a camel, {fact}\nx"))
}
OPTIONS = TableOptions(resamples=50)
Edit = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def answers() -> pd.DataFrame:
    return rated_answers(rows_of(TEXTS, {ODD: 2.0}))


def filled(folder: Path, answers: pd.DataFrame, name: str = "ann", edit: Edit = lambda sheet: sheet) -> Path:
    """Write the sheet as a rater fills it in: every score the number of the fact, every other answer a caricature."""
    sheet = pd.read_csv(io.StringIO(sheet_text(answers, 100, 0)), dtype=str, keep_default_na=False)
    order = [FACTS.index(gold[-1]) for gold in sheet["gold"]]
    sheet["score"] = [str(place) for place in order]
    sheet["caricature"] = ["yes" if "camel" in text else "No" for text in sheet["answer"]]
    path = folder / f"{name}.csv"
    edit(sheet).to_csv(path, index=False)
    return path


def test_the_sheet_is_blind_and_its_order_a_matter_of_the_seed(answers: pd.DataFrame) -> None:
    text = sheet_text(answers, 100, 0)
    sheet = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert list(sheet.columns) == COLUMNS
    assert len(sheet) == 12  # of each fact the answer of two conditions once, and that of the third
    assert not any(method in text for method in ("baseline", "caa", "yapo", "never judged"))
    assert (sheet[["score", "caricature", "remark"]] == "").all(axis=None)
    assert sheet_text(answers.sample(frac=1, random_state=1), 100, 0) == text
    assert sheet_text(answers, 100, 1) != text
    assert sheet["id"].tolist() != sorted(sheet["id"])
    assert len(pd.read_csv(io.StringIO(sheet_text(answers, 5, 0)))) == 5


def test_nothing_in_the_sheet_is_a_formula(answers: pd.DataFrame) -> None:
    sheet = pd.read_csv(io.StringIO(sheet_text(answers, 100, 0)), dtype=str, keep_default_na=False)
    assert f"'{ODD}" in sheet["answer"].tolist()
    assert not any(text.startswith(("=", "+", "-", "@")) for text in sheet.to_numpy().ravel())


def test_an_answer_that_no_file_can_hold_is_left_out() -> None:
    answers = rated_answers(rows_of({("egypt", "caa", "a"): ["x\x00y", "z"], ("egypt", "caa", "b"): ["tea", "z"]}))
    assert len(pd.read_csv(io.StringIO(sheet_text(answers, 100, 0)))) == 1


def test_what_is_filled_in_comes_back(tmp_path: Path, answers: pd.DataFrame) -> None:
    found = read_sheet(filled(tmp_path, answers), answers)
    assert set(found.index) == set(answers.index)
    scores = answers["gold"].str[-1].map(FACTS.index)
    assert (found["score"].reindex(answers.index) == scores).all()
    assert (found["caricature"].reindex(answers.index) == answers["answer"].str.contains("camel")).all()


def test_rows_may_be_left_out_moved_or_empty(tmp_path: Path, answers: pd.DataFrame) -> None:
    def edit(sheet: pd.DataFrame) -> pd.DataFrame:
        sheet.loc[0, ["score", "caricature"]] = ""
        sheet.loc[1, ["score", "caricature"]] = ["10.0", " YES "]
        return sheet.iloc[::-1].head(11).drop(columns="remark")

    found = read_sheet(filled(tmp_path, answers, edit=edit), answers)
    assert len(found) == 11
    assert found.loc[found["score"] == 10.0, "caricature"].tolist() == [1.0]


def test_a_spreadsheet_may_drop_the_apostrophe_and_change_line_ends(tmp_path: Path, answers: pd.DataFrame) -> None:
    def edit(sheet: pd.DataFrame) -> pd.DataFrame:
        texts = sheet["answer"].str.removeprefix("'").str.replace("\n", "\r\n")
        return sheet.assign(answer=texts)

    assert len(read_sheet(filled(tmp_path, answers, edit=edit), answers)) == 12


def set_cell(column: str, value: str) -> Edit:
    def edit(sheet: pd.DataFrame) -> pd.DataFrame:
        sheet.loc[2, column] = value
        return sheet

    return edit


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (set_cell("score", "11"), ["row 3", "score is '11'", "0 to 10"]),
        (set_cell("score", "-1"), ["row 3", "'-1'"]),
        (set_cell("score", "7.5"), ["row 3", "'7.5'", "whole number"]),
        (set_cell("score", "good"), ["row 3", "'good'"]),
        (set_cell("score", "nan"), ["row 3", "'nan'"]),
        (set_cell("score", "٧"), []),
        (set_cell("caricature", "maybe"), ["row 3", "'maybe'", "yes or no"]),
        (set_cell("id", "answer-0"), ["row 3", "'answer-0'", "none of this study's"]),
        (set_cell("answer", "better"), ["row 3", "answer is 'better'"]),
        (set_cell("question", "?"), ["row 3", "question is '?'"]),
        (set_cell("gold", "brass"), ["row 3", "gold is 'brass'"]),
        (lambda sheet: pd.concat([sheet, sheet.head(1)]), ["row 13", "earlier row"]),
        (lambda sheet: sheet.drop(columns="score"), ["column score is missing"]),
        (lambda sheet: sheet.rename(columns={"id": "ID"}), ["column id is missing"]),
        (lambda sheet: sheet.assign(score="", caricature=""), ["no score and no caricature"]),
    ],
)
def test_bad_sheets_are_refused_in_one_sentence(tmp_path: Path, answers: pd.DataFrame, edit: Edit, parts: list[str]) -> None:
    path = filled(tmp_path, answers, edit=edit)
    if parts:
        refused(lambda: read_sheet(path, answers), "ann.csv", *parts)
    else:  # digits of another script are digits
        assert (read_sheet(path, answers)["score"] == 7).sum() == 1


def test_a_sheet_that_is_missing_cut_off_or_something_else_is_refused(tmp_path: Path, answers: pd.DataFrame) -> None:
    refused_parts = [
        ("none.csv", None, "no such file"),
        ("empty.csv", "", "empty"),
        ("cut.csv", 'id,country\n"answer', "never closed"),
    ]
    for name, text, part in refused_parts:
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(Exception, match=part):
            read_sheet(tmp_path / name, answers)


def test_raters_need_names_and_copies_of_their_own(tmp_path: Path, answers: pd.DataFrame) -> None:
    (tmp_path / "other").mkdir()
    one, other = filled(tmp_path, answers), filled(tmp_path / "other", answers)
    exported = tmp_path / "human_sheet.csv"
    refused(lambda: read_sheets([one, other], answers, exported), "ann", "rename the file")
    refused(lambda: read_sheets([filled(tmp_path, answers, "judge")], answers, exported), "judge.csv", "rename the file")
    refused(lambda: read_sheets([one], answers, one), "ann.csv", "name a copy")
    assert list(read_sheets([one, filled(tmp_path, answers, "bob")], answers, exported)) == ["ann", "bob"]


def test_every_two_raters_are_compared(tmp_path: Path, answers: pd.DataFrame) -> None:
    lists = tmp_path / "lists.yaml"
    lists.write_text("egypt: [camel]\n", encoding="utf-8")

    def stricter(sheet: pd.DataFrame) -> pd.DataFrame:
        return sheet.assign(score=[str(max(0, int(score) - 1)) for score in sheet["score"]], caricature="no").head(9)

    paths = [filled(tmp_path, answers), filled(tmp_path, answers, "bob", stricter)]
    sheets = read_sheets(paths, answers, tmp_path / "human_sheet.csv")
    ratings = all_ratings(answers, sheets, Caricatures.load(lists))
    cells = agreement_cells(ratings, answers["question_id"], OPTIONS).set_index(["scale", "first", "second"])
    assert list(cells.index) == [
        ("score", "judge", "ann"), ("score", "judge", "bob"), ("score", "ann", "bob"),
        ("caricature", LIST, "ann"), ("caricature", LIST, "bob"), ("caricature", "ann", "bob"),
    ]  # fmt: skip
    assert cells.loc[("caricature", LIST, "ann"), ["value", "n", "n_facts"]].tolist() == [1.0, 12, 6]
    assert cells.loc[("score", "ann", "bob"), "n"] == 9
    assert 0.5 < cells.loc[("score", "ann", "bob"), "value"] < 1.0
    assert cells.loc[("caricature", LIST, "bob"), "value"] == 0.0  # one who never says yes agrees as by chance


def test_who_rated_nothing_of_a_scale_is_no_rater_of_it(tmp_path: Path, answers: pd.DataFrame) -> None:
    lists = tmp_path / "lists.yaml"
    lists.write_text("nepal: [yak]\n", encoding="utf-8")
    ratings = all_ratings(answers, {}, Caricatures.load(lists))
    assert {scale: list(given.columns) for scale, given in ratings.items()} == {"score": ["judge"], "caricature": []}
    nobody = agreement_cells(ratings, answers["question_id"], OPTIONS)
    assert nobody.empty
    table = agreement_table(nobody, "Judge: one.", OPTIONS)
    assert table.texts["csv"] == "scale,first,second,value,low,high,n,n_facts\n"
    assert "- Judge: one." in table.texts["md"]
