"""The paper's table 3 from a flat frame of accuracies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.evaluation.metrics import PRINTED_DIGITS, round_half_up
from yapo.evaluation.own_scores import metrics_table

PAPER = Path(__file__).resolve().parents[2] / ".." / "shared" / "paper_tables"


def accuracies() -> pd.DataFrame:
    rows = [
        ("Arabic", "egypt", "mine", 80.0, 40.0),
        ("Arabic", "morocco", "mine", 60.0, 20.0),
        ("Hindi", "nepal", "mine", 50.0, 50.0),
        ("Arabic", "egypt", "yours", 90.0, 10.0),
        ("Arabic", "morocco", "yours", 0.0, 0.0),
        ("Hindi", "nepal", "yours", 100.0, 100.0),
    ]
    return pd.DataFrame(rows, columns=["language", "country", "method", "localized", "nonlocalized"])


def test_languages_are_means_over_countries_and_overall_over_printed_languages() -> None:
    made = metrics_table(accuracies()).set_index(["language", "method"])
    assert list(made.index) == [(place, method) for place in ("Arabic", "Hindi", "Overall") for method in ("mine", "yours")]
    arabic = (2 * 80 * 40 / 120 + 2 * 60 * 20 / 80) / 2
    assert made.loc[("Arabic", "mine"), "rca"] == pytest.approx(arabic)
    assert made.loc[("Arabic", "yours"), "pnlg"] == pytest.approx((80 / 50 + 0) / 2)
    assert made.loc[("Overall", "mine"), "rca"] == pytest.approx((float(round_half_up(arabic, 1)) + 50) / 2)
    assert set(made["task"]) == {"mcq"}


def test_shares_and_grades_give_the_same_numbers_as_percents() -> None:
    rows, scores = accuracies(), ["localized", "nonlocalized"]
    wanted = metrics_table(rows)
    for top in (1, 10, 100):
        pd.testing.assert_frame_equal(
            metrics_table(rows.assign(**{name: rows[name] * top / 100 for name in scores}), top=top), wanted
        )
    open_ended = rows.assign(task="open_ended", **{name: rows[name] / 10 for name in scores})
    both = metrics_table(pd.concat([rows.assign(task="mcq"), open_ended]))
    assert both.loc[both["task"] == "mcq", "rca"].tolist() == wanted["rca"].tolist()
    assert both.loc[both["task"] == "open_ended", "pnlg"].tolist()[:4] == pytest.approx(wanted["pnlg"].tolist()[:4])


@pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's numbers are not beside this checkout")
def test_the_papers_accuracies_give_the_papers_table() -> None:
    printed = pd.concat([pd.read_csv(PAPER / f"{task}.csv").assign(task=task) for task in ("mcq", "open_ended")])
    rows = printed[(printed["row_type"] == "country") & printed["setting"].isin(["localized", "non_localized"])]
    flat = rows.pivot(index=["task", "language", "country", "method"], columns="setting", values="value").reset_index()
    made = metrics_table(flat.rename(columns={"non_localized": "nonlocalized"})).set_index(["task", "language", "method"])
    golden = pd.read_csv(PAPER / "rca_pnlg_language.csv")
    assert len(made) == len(golden)
    for row in golden.itertuples():
        for metric, expected in (("rca", row.rca_printed), ("pnlg", row.pnlg_printed)):
            value = made.loc[(row.task, row.language, row.method), metric]
            assert round_half_up(value, PRINTED_DIGITS[row.task, metric]) == pytest.approx(expected), row


def put(column: str, value: object, row: int = 1) -> Callable[[], Any]:
    """The accuracies with one cell changed."""
    rows = accuracies().assign(task="mcq").astype(object)
    rows.loc[row, column] = value
    return lambda: metrics_table(rows)


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "a list": (lambda: metrics_table([1, 2]), "scores is a list; give a pandas data frame"),  # type: ignore[arg-type]
    "a dictionary": (lambda: metrics_table({"language": ["x"]}), "scores is a dict; give"),  # type: ignore[arg-type]
    "no rows": (lambda: metrics_table(accuracies().head(0)), "scores have no rows; give one row"),
    **{
        f"no {name}": (
            lambda name=name: metrics_table(accuracies().drop(columns=name)),
            f"scores lack the column '{name}'; they need",
        )
        for name in ("language", "country", "method", "localized", "nonlocalized")
    },
    "a score in words": (put("localized", "high"), "scores, row 1: localized=high; give a number from 0 to 100"),
    "a score that is missing": (put("nonlocalized", None), "scores, row 1: nonlocalized=None; give a number"),
    "a score that is NaN": (put("nonlocalized", np.nan), "scores, row 1: nonlocalized=nan; give a number"),
    "a score that is infinite": (put("localized", np.inf), "scores, row 1: localized=inf; give a number"),
    "a score below 0": (put("localized", -1.0), "scores, row 1: localized=-1.0; give a number"),
    "a score above 100": (put("localized", 101.0, 3), "scores, row 3: localized=101.0; give a number from 0 to 100"),
    "a score beyond floats": (put("localized", 10**400), "scores, row 1: localized=1000000000"),
    "a score of too many digits": (put("nonlocalized", -(10**5000)), "nonlocalized=<int of too many digits>; give a number"),
    "a task of too many digits": (put("task", 10**5000), "scores, row 1: task=<int of too many digits>; it must be one of"),
    "a score that is a list": (put("localized", [1.0]), "scores, row 1: localized=[1.0]; give a number"),
    "a country without a name": (put("country", ""), "scores, row 1: country is empty; name it"),
    "a language that is missing": (put("language", None), "scores, row 1: language is empty; name it"),
    "a method that is blank": (put("method", " "), "scores, row 1: method is empty; name it"),
    "a row twice": (put("country", "egypt"), "scores, row 1: task=mcq, language=Arabic, country=egypt, method=mine stands there"),
    "a method that lacks a country": (
        lambda: metrics_table(accuracies().drop(index=4)),
        "method=yours lacks country=morocco; give",
    ),
    "a language named as the last row": (
        put("language", "Overall", 2),
        "scores, row 2: language=Overall is the name of the last",
    ),
    "an unknown task": (lambda: metrics_table(accuracies().assign(task="essay")), "scores, row 0: task=essay; it must be one of"),
    "a grade above 10": (
        lambda: metrics_table(accuracies().assign(task="open_ended")),
        "localized=80.0; give a number from 0 to 10",
    ),
    "shares as percents": (lambda: metrics_table(accuracies().assign(localized=0.5, nonlocalized=0.4)), "give top=1 for shares"),
    "a score above top": (lambda: metrics_table(accuracies(), top=1), "scores, row 0: localized=80.0; give a number from 0 to 1"),
    "top 0": (lambda: metrics_table(accuracies(), top=0), "top=0: give the highest possible score"),
    "top NaN": (lambda: metrics_table(accuracies(), top=np.nan), "top=nan: give the highest possible score"),
    "top beyond floats": (lambda: metrics_table(accuracies(), top=10**5000), "top=<int of too many digits>: give the highest"),
    "top in words": (lambda: metrics_table(accuracies(), top="100"), "top=100: give the highest"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_accuracies_that_cannot_be_are_refused(case: tuple[Callable[[], Any], str]) -> None:
    call, said = case
    with pytest.raises(YapoError) as caught:
        call()
    assert said in str(caught.value) and "\n" not in str(caught.value)
