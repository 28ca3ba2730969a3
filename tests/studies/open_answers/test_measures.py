"""Measures of made-up answers: shares, means over countries, countries without a list, replies that could not be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.studies.open_answers.answers import rows_of
from yapo.evaluation.caricatures import Caricatures
from yapo.evaluation.diversity import distinct, self_chrf
from yapo.reporting.tables import TableOptions
from yapo.studies.open_answers.measures import AVERAGE, measured, open_answer_cells, unread_shares
from yapo.studies.open_answers.table import answers_table, parts_table

OPTIONS = TableOptions(resamples=50)
TEXTS = {
    ("egypt", "baseline", "a"): ["a camel", "A camel.", "tea"],
    ("egypt", "baseline", "b"): ["", "tea", "oil"],
    ("egypt", "yapo", "a"): ["tea", "tea", "tea"],
    ("egypt", "yapo", "b"): ["oil", "oil", " "],
    ("nepal", "baseline", "a"): ["a yak", "a camel", "rice"],
    ("nepal", "yapo", "a"): ["rice", "dal", "a yak"],
}


@pytest.fixture
def lists(tmp_path: Path) -> Caricatures:
    path = tmp_path / "lists.yaml"
    path.write_text("egypt: [camel]\nksa: [camel, oil]\n", encoding="utf-8")
    return Caricatures.load(path)


@pytest.fixture
def cells(lists: Caricatures) -> pd.DataFrame:
    return open_answer_cells(measured(rows_of(TEXTS), lists), OPTIONS).set_index(["country", "method", "measure"])


def test_diversity_is_the_mean_over_questions(cells: pd.DataFrame) -> None:
    first, second = TEXTS["egypt", "baseline", "a"], TEXTS["egypt", "baseline", "b"]
    at = ("egypt", "baseline")
    assert cells.loc[(*at, "distinct_1"), "value"] == pytest.approx((distinct(first, 1) + distinct(second, 1)) / 2)
    assert cells.loc[(*at, "self_chrf"), "value"] == pytest.approx((self_chrf(first) + self_chrf(second)) / 2)
    assert cells.loc[(*at, "self_chrf"), "n"] == 2
    assert cells.loc[(*at, "distinct_2"), ["value", "n"]].tolist() == [0.5, 1]  # no text of the other question has two words


def test_shares_are_of_answers(cells: pd.DataFrame) -> None:
    shares = {name: cells.loc[("egypt", "baseline", name), "value"] for name in ("repeated", "empty", "own", "others")}
    assert shares == pytest.approx({"repeated": 100 / 6, "empty": 100 / 6, "own": 200 / 6, "others": 100 / 6})
    assert cells.loc[("egypt", "yapo", "repeated"), "value"] == pytest.approx(50.0)
    assert cells.loc[("egypt", "yapo", "own"), "change"] == pytest.approx(-200 / 6)
    assert cells.loc[("egypt", "yapo", "score"), "n"] == 2  # the first sample of each question


def test_a_country_without_a_list_has_no_share(cells: pd.DataFrame) -> None:
    assert ("nepal", "baseline", "own") not in cells.index
    assert cells.loc[("nepal", "baseline", "others"), "value"] == pytest.approx(100 / 3)
    assert cells.loc[(AVERAGE, "baseline", "own"), "value"] == cells.loc[("egypt", "baseline", "own"), "value"]
    others = [cells.loc[(country, "baseline", "others"), "value"] for country in ("egypt", "nepal", AVERAGE)]
    assert others[2] == pytest.approx((others[0] + others[1]) / 2)
    table = answers_table(cells.reset_index(), {}, "nonlocalized", "3 answers", [], OPTIONS)
    assert "No list, so no share: Nepal." in table.texts["md"]
    nepal = table.texts["md"].partition("## Nepal")[2]
    assert nepal.splitlines()[4].split(" | ")[6] == "–"


def test_unread_replies_are_counted_and_left_out(lists: Caricatures) -> None:
    rows = rows_of(TEXTS, {"a camel": np.nan}).assign(concept=2.0, instruct=1.0, fluency=0.0)
    rows.loc[(rows["country"] == "egypt") & (rows["question_id"] == "b"), "concept"] = np.nan
    cells = open_answer_cells(measured(rows, lists), OPTIONS).set_index(["country", "method", "measure"])
    assert cells.loc[("egypt", "baseline", "score"), ["value", "n"]].tolist() == [5.0, 1]
    assert cells.loc[("egypt", "yapo", "harmonic_mean"), "value"] == 0.0
    shares = unread_shares(rows)
    assert shares["egypt", "baseline", "score"] == 0.5
    assert shares["egypt", "yapo", "harmonic_mean"] == 0.5
    assert shares["nepal", "yapo", "harmonic_mean"] == 0.0
    assert shares[AVERAGE, "yapo", "harmonic_mean"] == 0.25
    table = answers_table(cells.reset_index(), shares, "nonlocalized", "3 answers", [], OPTIONS)
    assert "5.00 †" in table.texts["md"]


def test_a_judge_of_whom_nothing_could_be_read_leaves_dashes_and_a_count(lists: Caricatures) -> None:
    rows = rows_of(TEXTS)  # without any part
    cells = open_answer_cells(measured(rows, lists), OPTIONS)
    table = parts_table(cells, unread_shares(rows), "judge one", OPTIONS)
    lines = [line for line in table.texts["md"].splitlines() if line.startswith(("| Baseline", "| YaPO"))]
    assert len(lines) == 6  # of the mean and of both countries
    assert all("| – | – | – | – | 5.00" in line and line.endswith("| 100.0 | 0 |") for line in lines)
