"""The functions behind the tables reproduce the paper's printed cells from its printed accuracies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from yapo.evaluation.bootstrap import baseline_rows
from yapo.evaluation.metrics import KEYS, PRINTED_DIGITS, country_metrics, round_half_up
from yapo.reporting.cells import country_draws, dataset_totals, language_draws, score_draws

PAPER = Path(__file__).resolve().parents[2] / ".." / "shared" / "paper_tables"
pytestmark = pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's numbers are not beside this checkout")

DIGITS = {"mcq": 1, "open_ended": 2}


def printed(task: str) -> pd.DataFrame:
    rows = pd.read_csv(PAPER / f"{task}.csv").assign(task=task)
    return rows.assign(setting=rows["setting"].replace("non_localized", "nonlocalized"))


def accuracies() -> pd.DataFrame:
    rows = pd.concat([printed(task) for task in DIGITS])
    return rows[rows["row_type"] == "country"].set_index(KEYS)[["value"]].set_axis([0], axis=1)


def values(draws: pd.DataFrame) -> dict[tuple[str, ...], float]:
    return draws[0].to_dict()


def test_rca_and_pnlg_of_every_country() -> None:
    made = values(country_draws(country_metrics(accuracies())))
    golden = pd.read_csv(PAPER / "rca_pnlg_country.csv")
    assert len(golden) == 90
    for row in golden.itertuples():
        cell = (row.language, row.country, row.task, row.method)
        assert round_half_up(made["rca", *cell], 1) == pytest.approx(row.rca_printed), cell
        assert round_half_up(made["pnlg", *cell], 3) == pytest.approx(row.pnlg_printed), cell


def test_rca_and_pnlg_of_every_language_and_overall() -> None:
    made = values(language_draws(country_metrics(accuracies())))
    golden = pd.read_csv(PAPER / "rca_pnlg_language.csv")
    assert len(golden) == 36 and (golden["language"] == "Overall").sum() == 6
    for row in golden.itertuples():
        for metric, expected in (("rca", row.rca_printed), ("pnlg", row.pnlg_printed)):
            value = made[metric, row.language, row.task, row.method]
            assert round_half_up(value, PRINTED_DIGITS[row.task, metric]) == pytest.approx(expected), row


@pytest.mark.parametrize("task", list(DIGITS))
def test_language_averages_and_differences(task: str) -> None:
    draws = score_draws(accuracies())
    made, delta = values(draws), values(draws - baseline_rows(draws).to_numpy())
    rows = printed(task)
    averages = rows[rows["row_type"] == "average"]
    wrong = pd.read_csv(PAPER / "inconsistencies.csv").query("task == @task and what == 'value'")
    wrong_cells = set(
        zip(wrong["language"], wrong["setting"].replace("non_localized", "nonlocalized"), wrong["method"], strict=True)
    )
    checked = 0
    for row in averages.itertuples():
        cell = (row.language, "Average", task, row.setting, row.method)
        if (row.language, row.setting, row.method) not in wrong_cells:
            assert round_half_up(made[cell], DIGITS[task]) == pytest.approx(row.value), cell
            checked += 1
            if row.status == "ok" and row.method != "baseline":
                assert round_half_up(delta[cell], DIGITS[task]) == pytest.approx(float(row.delta_vs_baseline_printed)), cell
        else:
            assert round_half_up(made[cell], DIGITS[task]) != pytest.approx(row.value), cell
    assert checked == 45 - len(wrong)


def test_data_set_totals() -> None:
    golden = pd.read_csv(PAPER / "dataset_stats.csv").rename(columns={"non_localized": "nonlocalized"})
    countries = golden[golden["row_type"] == "country"]
    made = dataset_totals(countries[["language", "country", "localized", "nonlocalized"]]).set_index(["language", "country"])
    subtotals = golden[golden["row_type"] == "subtotal"]
    assert len(subtotals) == 5
    for row in subtotals.itertuples():
        assert made.loc[(row.language, "Subtotal")].tolist() == [row.localized, row.nonlocalized, row.total]
    assert made.loc[("Total", "Total")].tolist() == [22677, 22677, 45354]
