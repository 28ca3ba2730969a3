"""The numbers, rows and columns of the tables of a small study."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from yapo.evaluation.metrics import rca
from yapo.reporting.main_tables import TABLE_NAMES, build_tables
from yapo.reporting.tables import Table, TableOptions

from .small_results import OPTIONS, study


@pytest.fixture(scope="module")
def evaluation() -> pd.DataFrame:
    return study()[0]


def cell(table: Table, **where: str) -> pd.Series:
    rows = table.data
    for column, value in where.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_cells_carry_value_interval_counts_and_difference(tables: dict[str, Table], evaluation: pd.DataFrame) -> None:
    found = cell(tables["table1_mcq"], country="egypt", setting="localized", method="caa")
    rows = evaluation.query("country == 'egypt' and setting == 'localized' and method == 'caa' and task == 'mcq'")
    assert found["value"] == pytest.approx(100 * rows["score"].mean())
    assert found["low"] <= found["value"] <= found["high"]
    assert (found["n"], found["n_facts"], found["parse_failure_rate"]) == (10, 5, pytest.approx(0.2))
    base = cell(tables["table1_mcq"], country="egypt", setting="localized", method="baseline")
    assert found["delta_vs_baseline"] == pytest.approx(found["value"] - base["value"])
    assert cell(tables["table1_mcq"], country="egypt", setting="both", method="caa")["n"] == 20


def test_average_rows_are_means_over_countries(tables: dict[str, Table]) -> None:
    data = tables["table2_open_ended"].data.query("language == 'Arabic' and setting == 'both' and method == 'baseline'")
    by_country = data.set_index("country")
    assert by_country.loc["Average", "value"] == pytest.approx(by_country.loc[["egypt", "morocco"], "value"].mean())
    assert (by_country.loc["Average", "n"], by_country.loc["Average", "n_facts"]) == (40, 5)


def test_both_readings_of_rca(tables: dict[str, Table], evaluation: pd.DataFrame) -> None:
    rows = evaluation.query("country == 'india' and task == 'mcq' and method == 'baseline' and setting != 'both'")
    pairs = rows.pivot(index=["question_id", "phrasing"], columns="setting", values="score")
    where = {"metric": "rca", "country": "india", "task": "mcq", "method": "baseline"}
    macro = cell(tables["table5_rca_pnlg_country"], **where)["value"]
    instance = cell(tables["table5_rca_pnlg_country_instance"], **where)["value"]
    assert macro == pytest.approx(100 * float(rca(pairs["localized"].mean(), pairs["nonlocalized"].mean())))
    assert instance == pytest.approx(100 * rca(pairs["localized"], pairs["nonlocalized"]).mean())
    assert macro > instance


def test_order_of_rows_and_columns(tables: dict[str, Table]) -> None:
    text = tables["table1_mcq"].texts["md"]
    assert text.count("| Language | Country | Baseline | CAA | YaPO |") == 3
    places = [text.index(name) for name in ("## Localized", "## Non-localized", "## Both")]
    assert places == sorted(places)
    localized = text[places[0] : places[1]]
    names = re.findall(r"^\| (\w*) \| (\*?\w+\*?) \|", localized, re.MULTILINE)[1:]
    assert names == [("Arabic", "Egypt"), ("", "Morocco"), ("", "*Average*"), ("Hindi", "India"), ("", "*Average*")]


def test_pnlg_is_best_closest_to_zero(tables: dict[str, Table]) -> None:
    text = tables["table3_rca_pnlg_language"].texts["md"]
    part = text[text.index("## PNLG, multiple choice") :]
    line = next(line for line in part.splitlines() if "Hindi" in line)
    assert "**0.000**" in line  # yapo is always right: no gap


def test_scorer_is_named_wherever_open_ended_scores_stand(tables: dict[str, Table]) -> None:
    for name in TABLE_NAMES:
        shows = name not in ("table1_mcq", "table7_dataset", "option_positions")
        assert ("offline reference" in tables[name].texts["html"]) == shows


def test_data_set_table_adds_up(tables: dict[str, Table]) -> None:
    data = tables["table7_dataset"].data.set_index(["language", "country", "variant"])["items"]
    assert data["Arabic", "egypt", "localized"] == 10
    assert data["Arabic", "Subtotal", "total"] == 40
    assert data["Total", "Total", "total"] == 60
    assert "| Total |  | 30 | 30 | 60 |" in tables["table7_dataset"].texts["md"].replace("*", "")


def test_positions_of_options_are_shares_of_test_rows() -> None:
    evaluation, items = study(methods=("baseline", "caa"))
    egypt = items["country"] == "egypt"
    items.loc[egypt, "answer_index"] = 2
    unread = (evaluation["method"] == "caa") & (evaluation["country"] == "india")
    evaluation.loc[unread, "completion"] = "no number"
    other = evaluation[evaluation["task"] == "mcq"].assign(completion="\\boxed{3}")
    tables = build_tables(evaluation, items, OPTIONS, "first way", {"second way": other})
    data = tables["option_positions"].data
    assert (data.groupby(["way", "setting", "chosen_by"])["value"].sum().round(6) == 100).all()
    found = data[data["setting"] == "both"].set_index(["way", "chosen_by", "position"]).sort_index()
    assert found.loc[("first way", "right answer"), "value"].round(3).tolist() == [66.667, 0, 33.333, 0, 0]
    assert found.loc[("first way", "caa"), "value"].round(3).tolist() == [66.667, 0, 0, 0, 33.333]
    assert found.loc[("second way", "caa"), "value"].tolist() == [0, 0, 100, 0, 0]
    assert found.loc[("second way", "caa", "3"), "difference"] == pytest.approx(200 / 3)
    assert found.loc[("second way", "caa", "1"), "difference_high"] < 0
    assert found.loc[("first way", "baseline", "1"), "n"] == 60 and found.loc[("first way", "baseline", "1"), "n_facts"] == 5
    text = tables["option_positions"].texts["md"]
    assert "| Chosen by | 1 | 2 | 3 | 4 | Not parsed |" in text
    assert "## Both; second way" in text and text.count("| *Right answer* |") == 6


def test_without_multiple_choice_the_table_of_positions_has_no_rows() -> None:
    evaluation, items = study(methods=("baseline",), facts=1)
    table = build_tables(evaluation[evaluation["task"] == "open_ended"], items, TableOptions(resamples=0))["option_positions"]
    assert table.data.empty
    assert "No rows: multiple choice was not evaluated." in table.texts["md"]


def test_another_way_stands_beside_the_first_and_changes_none_of_its_numbers(tables: dict[str, Table]) -> None:
    evaluation, items = study()
    other = evaluation[evaluation["task"] == "mcq"].assign(score=0.0)
    both = build_tables(evaluation, items, OPTIONS, "first way", {"second way": other})
    for name in ("summary", "table1_mcq", "table3_rca_pnlg_language", "table5_rca_pnlg_country_instance"):
        data = both[name].data
        own = data[data["way"] != "second way"].drop(columns="way").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, tables[name].data)
        assert set(data.loc[data["task"] == "open_ended", "way"]) <= {""}
        assert "second way" in both[name].texts["tex"] and "; first way" in both[name].texts["html"]
        assert "second way" not in tables[name].texts["html"]
    assert both["table2_open_ended"].texts == tables["table2_open_ended"].texts


def test_a_method_of_ones_own_and_no_baseline() -> None:
    tables = build_tables(*study(methods=("my_method", "yapo")), OPTIONS)
    assert "| Language | Country | YaPO | My method |" in tables["table1_mcq"].texts["md"]
    assert tables["table1_mcq"].data["delta_vs_baseline"].isna().all()
    assert 'class="delta"' not in tables["table1_mcq"].texts["html"]


def test_no_resamples_leave_intervals_out() -> None:
    tables = build_tables(*study(), TableOptions(resamples=0))
    assert "[" not in tables["table1_mcq"].texts["md"] and "bootstrap" not in tables["table1_mcq"].texts["md"]


def test_cells_that_are_all_right_have_an_honest_interval(tables: dict[str, Table]) -> None:
    """Five facts, all right: as many as 52 % of all facts may be wrong ones."""
    for name, top in (("table1_mcq", 100), ("table2_open_ended", 10)):
        found = cell(tables[name], country="egypt", setting="localized", method="yapo")
        assert (found["value"], found["low"], found["high"]) == pytest.approx((top, 0.478 * top, top), abs=0.001 * top)
        assert "Clopper and Pearson" in tables[name].texts["md"]
    where = {"country": "egypt", "task": "mcq", "method": "yapo"}
    found = cell(tables["table5_rca_pnlg_country"], metric="rca", **where)
    assert (found["value"], found["low"], found["high"]) == pytest.approx((100, 47.8, 100), abs=0.1)
    found = cell(tables["table5_rca_pnlg_country"], metric="pnlg", **where)
    assert (found["value"], -found["low"]) == (0, found["high"]) and found["high"] > 0.5
    found = cell(tables["table5_rca_pnlg_country_instance"], metric="rca", **where)
    assert (found["value"], found["low"], found["high"]) == pytest.approx((100, 47.8, 100), abs=0.1)


@pytest.mark.parametrize("task", ["mcq", "open_ended"])
def test_a_study_with_one_task_speaks_of_no_other(task: str) -> None:
    evaluation, items = study(methods=("baseline", "yapo"))
    tables = build_tables(evaluation[evaluation["task"] == task], items, TableOptions(resamples=0, scorer="a scorer"))
    for name in ("summary", "table3_rca_pnlg_language", "table5_rca_pnlg_country_instance", "examples"):
        text = tables[name].texts["md"].lower()
        assert ("open-ended" in text, "multiple-choice" in text or "multiple choice" in text) == (task != "mcq", task == "mcq"), (
            name
        )
        assert ("a scorer" in text) == (task != "mcq")


def test_examples_are_those_on_which_methods_differ() -> None:
    evaluation, items = study(methods=("baseline", "caa"))
    open_ended = evaluation["task"] == "open_ended"
    evaluation.loc[open_ended, "score"] = 10.0
    telling = open_ended & (evaluation["question_id"] == "meals-3") & (evaluation["method"] == "caa")
    evaluation.loc[telling, "score"] = 0.0
    chosen = build_tables(evaluation, items, TableOptions(resamples=0))["examples"].data
    for _, part in chosen[chosen["task"] == "open_ended"].groupby("language"):
        assert "meals-3" in set(part["question_id"])
