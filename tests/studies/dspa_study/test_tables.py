"""Tables, figure and finding of DSPA's studies, from rows whose results are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.names import EVERY
from yapo.reporting.cells import records
from yapo.reporting.finding import render_blocks
from yapo.reporting.tables import TableOptions
from yapo.studies.dspa_study import report
from yapo.studies.dspa_study.chat_table import chat_cells, chat_table
from yapo.studies.dspa_study.figure import study_figure
from yapo.studies.dspa_study.report import flops_table, operations
from yapo.studies.dspa_study.table import OWN, skipped_sizes, study_cells, study_table, with_own

OPTIONS = TableOptions(resamples=200, scorer="a scorer", note="a note")
FACTS = 24
OWN_VALUES = {"pairs": "100", "alpha": "0.2", "layers": "1 to 3", "mode": "both"}
# (change, value, draw): facts answered right, in eighths, in two countries.
RIGHT: dict[tuple[str, str, int], tuple[int, int]] = {
    ("baseline", "", 0): (2, 2),
    ("setting", "", 0): (6, 6),
    ("pairs", "25", 0): (1, 1),
    ("pairs", "25", 1): (3, 3),
    ("pairs", "50", 0): (6, 5),
    ("pairs", "50", 1): (6, 7),
    ("alpha", "0.1", 0): (6, 6),
    ("alpha", "0.8", 0): (0, 0),
    ("mode", "ablate", 0): (8, 8),
    ("layers", "1 to 2", 0): (4, 6),
}


def rows() -> pd.DataFrame:
    made = []
    for task in ("mcq", "open_ended"):
        for (change, value, draw), rights in RIGHT.items():
            for country, right in zip(("egypt", "nepal"), rights, strict=True):
                for strength in ("one", "chosen"):
                    for fact in range(FACTS):
                        score = (1.0 if task == "mcq" else 10.0) * (fact < 3 * right)
                        made.append(
                            {
                                "task": task, "country": country, "change": change, "value": value, "draw": draw,
                                "strength": strength, "question_id": f"f{fact}", "score": score,
                                "parsed": not (value == "0.8" and fact < 6), "pairs": 100, "entries": 10 * (draw + 1),
                                "width_in": 64, "width_out": 64,
                            }
                        )  # fmt: skip
    return pd.DataFrame(made)


def cells() -> pd.DataFrame:
    return with_own(study_cells(rows(), OPTIONS), OWN_VALUES)


def at(frame: pd.DataFrame, **where: object) -> dict[str, Any]:
    """The one row with these values."""
    for name, value in where.items():
        frame = frame[frame[name] == value]
    (found,) = records(frame)
    return found


def test_cells_are_means_over_countries_and_subsets_with_paired_differences() -> None:
    made = study_cells(rows(), OPTIONS)
    few = at(made, task="mcq", strength="one", change="pairs", value="25")
    assert (few["score"], few["diff"], few["lowest"], few["highest"]) == (25.0, -50.0, 12.5, 37.5)
    assert (few["n"], few["n_facts"], few["countries"], few["entries"]) == (96, 24, 2, 15)
    layers = at(made, task="open_ended", strength="chosen", change="layers")
    assert (layers["score"], layers["diff"]) == (6.25, -1.25)
    assert at(made, task="mcq", strength="one", change="alpha", value="0.8")["unparsed"] == 0.25
    own = at(made, task="mcq", strength="one", change=OWN)
    assert (own["diff"], own["diff_low"], own["diff_high"]) == (0.0, 0.0, 0.0)
    assert own["low"] < own["score"] < own["high"]
    same = at(made, task="mcq", strength="one", change="alpha", value="0.1")
    assert (same["diff"], same["diff_low"], same["diff_high"]) == (0.0, 0.0, 0.0)


def test_what_one_country_lacks_is_left_out() -> None:
    some = rows()
    made = study_cells(some[~((some["country"] == "nepal") & (some["value"] == "50"))], OPTIONS)
    assert "50" not in set(made["value"])
    assert {"25", "0.8"} < set(made["value"])


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(YapoError, match=r"studies.dspa_study.countries"):
        study_cells(rows().head(0), OPTIONS)
    with pytest.raises(YapoError, match=r"studies.dspa_study.countries"):
        chat_cells(chat_rows().head(0), OPTIONS)


def test_the_table_shows_the_setting_among_the_values_of_each_change() -> None:
    table = study_table(cells(), OPTIONS)
    text = table.texts["md"]
    starts = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ") and ":--" not in line]
    values = [start for start in starts if start != "Value"]
    assert values == [
        "*Unsteered*", "DSPA",
        "25", "*25: subsets*", "50", "*50: subsets*", "100 (the setting)",
        "0.1", "0.2 (the setting)", "0.8",
        "ablate", "both (the setting)",
        "1 to 2", "1 to 3 (the setting)",
    ]  # fmt: skip
    few = next(line for line in text.splitlines() if line.startswith("| 25 |")).split("|")
    assert few[2].strip().startswith("25.0 [") and few[3].strip().startswith("−50.0 [")
    assert few[6].strip().startswith("2.50 [") and few[10].strip() == "15"
    assert "| 12.5 to 37.5 |" in text
    assert "a scorer" in text and "a note" in text and "up to 25.0%" in text
    broken = next(line for line in text.splitlines() if line.startswith("| 0.8 |"))
    assert "†" in broken and "†" not in few[2]
    assert len(table.data) == len(cells())


def test_sizes_that_are_no_fewer_than_all_pairs_are_named() -> None:
    some = rows()
    some.loc[(some["country"] == "nepal") & (some["task"] == "mcq"), "pairs"] = 50
    said = skipped_sizes(some, [250, 25, 50, 100])
    assert said == (
        "Not tried. Multiple choice, N = 50, 100, 250: no fewer than all pairs of a country (Egypt 100, Nepal 50). "
        "Open-ended, N = 100, 250: no fewer than all pairs of a country (Egypt 100, Nepal 100)."
    )
    assert said in study_table(cells(), OPTIONS, said).texts["md"]
    assert skipped_sizes(some, [25]) == ""
    assert "Not tried" not in study_table(cells(), OPTIONS, "").texts["md"]


def test_layers_whose_autoencoders_differ_are_named() -> None:
    assert "autoencoders differ" not in study_table(cells(), OPTIONS).texts["md"]
    some = rows()
    some.loc[some["value"] == "1 to 2", "width_out"] = 256
    text = study_table(with_own(study_cells(some, OPTIONS), OWN_VALUES), OPTIONS).texts["md"]
    assert "The autoencoders differ in features (64 after layer 1, 256 after layer 2, 64 after layer 3)" in text


def chat_rows() -> pd.DataFrame:
    made: list[dict[str, Any]] = []
    for country in ("egypt", "nepal"):
        for method, grades in {"baseline": (10.0, 4.0), "dspa": (10.0, 6.0), "caa": (7.0, 1.0)}.items():
            for i in range(6):
                for turn in (1, 2):
                    gone = method == "caa" and turn == 2 and i == 0
                    score = np.nan if gone else grades[turn - 1]
                    about = {"kind": "grade", "turn": turn, "question_id": str(i), "score": score, "parsed": not gone}
                    made.append(
                        {**about, "country": country, "method": method, "asked": not gone, "tokens": 5, "completion": "a"}
                    )
                if method != "baseline":
                    wins = {"dspa": 0.5, "caa": float(i == 0 and country == "egypt")}[method]
                    pair: dict[str, Any] = {
                        "first": np.nan if method == "dspa" else 0.75,
                        "agree": np.nan if method == "dspa" else 0.5,
                    }
                    pair |= {"base_completion": "a", "base_tokens": 4, "completion": "a" if method == "dspa" else "b"}
                    about = {"kind": "pair", "turn": 1, "question_id": str(i), "score": wins, "parsed": True, "asked": True}
                    made.append({**about, **pair, "country": country, "method": method, "tokens": 8})
    return pd.DataFrame(made)


def test_grades_by_turn_and_win_rates_in_percent() -> None:
    made = chat_cells(chat_rows(), OPTIONS)
    over = made[made["country"] == EVERY]
    assert at(over, kind="grade", turn=1, method="caa")["value"] == 7.0
    second = at(over, kind="grade", turn=2, method="caa")
    assert (second["value"], second["n"]) == (1.0, 10)
    assert (second["not_asked"], second["unscored"]) == (pytest.approx(1 / 6), pytest.approx(0.0))
    assert at(over, kind="grade", turn=0, method="dspa")["value"] == 8.0
    lost, even = (at(over, kind="pair", method=method) for method in ("caa", "dspa"))
    assert lost["value"] == pytest.approx(100 / 12)
    assert [lost[name] for name in ("changed", "agree", "first", "tokens", "base_tokens")] == [1.0, 0.5, 0.75, 8.0, 4.0]
    assert (even["value"], even["changed"]) == (50.0, 0.0)
    assert at(made, country="egypt", kind="pair", method="caa")["value"] == pytest.approx(100 / 6)
    text = chat_table(made, OPTIONS).texts["md"]
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Mean over 2 countries", "## Steered towards Egypt", "## Steered towards Nepal",
    ]  # fmt: skip
    assert "| 50.0 [50.0, 50.0] | 0.0 | – | – | 8.0 (4.0) |" in text
    assert "| 8.00 [8.00, 8.00] | +1.00 [+1.00, +1.00] |" in text
    assert "†" in text and "up to 16.7%" in text


def pair_rows(scores: list[float | None], changed: int, country: str = "egypt") -> pd.DataFrame:
    """Pairs of one method, the first ``changed`` of which differ."""
    about = {"kind": "pair", "turn": 1, "country": country, "method": "dspa", "asked": True, "tokens": 8, "base_tokens": 4}
    made = [
        {**about, "question_id": str(i), "score": score, "parsed": score is not None, "first": 0.5, "agree": 1.0,
         "completion": "b" if i < changed else "a", "base_completion": "a"}
        for i, score in enumerate(scores)
    ]  # fmt: skip
    return pd.DataFrame(made).astype({"score": float})


def with_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    rows = chat_rows()
    return pd.concat([rows[(rows["kind"] == "grade") & (rows["country"] == "egypt")], pairs], ignore_index=True)


def reading(pairs: pd.DataFrame) -> str:
    values = report.finding_values(cells(), chat_cells(with_pairs(pairs), OPTIONS), flops_rows())
    return render_blocks(Path(report.__file__).with_name("finding.md.j2"), **values, scorer="one", chat_scorer="other")["reading"]


def test_the_finding_says_the_numbers_of_the_tables() -> None:
    choice, _, grades, pairs, costs = reading(pair_rows([0.0] * 8 + [0.5] * 2, 8)).split("\n")
    assert "the experiment's setting scores 75.0 at λ = 1 (unsteered 25.0) and 75.0 at chosen λ (unsteered 25.0)." in choice
    assert "Of 4 changes to it at λ = 1, 1 score better and 2 worse" in choice
    assert "DSPA +1.00 [+1.00, +1.00]" in grades
    assert pairs.startswith("Win rate against the unsteered model (%): DSPA 10.0 [")
    assert "takes 40% of the operations" in costs and "gives 80%, with one pass 60%." in costs


def test_missing_judgements_do_not_pull_a_win_rate_to_a_half() -> None:
    """Eight of ten answers differ and lose wherever they are judged; the two that are equal are ties."""
    whole = at(chat_cells(with_pairs(pair_rows([0.0] * 8 + [0.5] * 2, 8)), OPTIONS), country="egypt", kind="pair", method="dspa")
    some = pair_rows([0.0, None, 0.0, None, None, 0.0, None, None, 0.5, 0.5], 8)
    part = at(chat_cells(with_pairs(some), OPTIONS), country="egypt", kind="pair", method="dspa")
    assert (whole["value"], whole["lost"], whole["differ"]) == (10.0, 0, 8)
    assert (part["value"], part["lost"], part["differ"]) == (pytest.approx(10.0), 5, 8)  # a plain mean: 20
    assert part["low"] < part["value"] < part["high"] < 50
    assert "DSPA 10.0 [" in reading(some) and ", of the 8 answers that differ 5 not scored." in reading(some)
    assert "of pairs whose answers differ, up to 5 of 8" in chat_table(chat_cells(with_pairs(some), OPTIONS), OPTIONS).texts["md"]


def test_what_was_not_scored_is_said_and_never_nan() -> None:
    unscored = pair_rows([None] * 8 + [0.5] * 2, 8)
    assert "Win rate" not in reading(unscored)
    text = chat_table(chat_cells(with_pairs(unscored), OPTIONS), OPTIONS).texts["md"]
    assert "not scored" in text
    one = reading(pair_rows([0.0], 1))  # one question: no interval
    assert "Win rate against the unsteered model (%): DSPA 0.0.\n" in one
    gone = pair_rows([None], 1).assign(asked=False)
    assert not any("nan" in words for words in (text, one, reading(gone)))


def test_grades_are_compared_over_turns_that_have_both() -> None:
    """A hard question without the method's grade is left out of both sides."""
    some = with_pairs(pair_rows([0.5] * 6, 0))
    grades, number = some["kind"] == "grade", some["question_id"].astype(int)
    some.loc[grades, "score"] = 5.0 + number[grades]
    some.loc[grades & (some["method"] == "dspa") & (number == 0), ["score", "parsed"]] = [np.nan, False]
    made = at(chat_cells(some, OPTIONS), country="egypt", kind="grade", turn=0, method="dspa")
    assert made["value"] == 8.0
    assert (made["diff"], made["diff_low"], made["diff_high"]) == (0.0, 0.0, 0.0)


def flops_rows() -> pd.DataFrame:
    values = {
        "three_passes": 1000.0, "two_passes": 800.0, "one_pass": 600.0, "run": 400.0, "measured": 400.0,
        "linear": 260.0, "padding": 100.0, "attention": 40.0, "encoders": 40.0, "check": 20.0, "displacement": 40.0,
    }  # fmt: skip
    about = {"task": "mcq", "parameters": 1000, "layer_out": 3, "pairs": 10, "prompt": 50, "chosen": 20, "rejected": 30}
    return pd.DataFrame(
        [{**about, "country": c, "quantity": q, "flops": 1e9 * v} for c in ("egypt", "nepal") for q, v in values.items()]
    )


def test_operations_per_pair_and_against_the_papers_accounting() -> None:
    text = flops_table(flops_rows(), OPTIONS).texts["md"]
    assert "N = 10 pairs of 5.0 + 2.0 + 3.0 tokens" in text
    assert "| Accounting, the redundant prompt pass dropped | 8.00e11 | 8.00e11 | 8.00e10 | 80.0 |" in text
    assert "validation pairs, to say how far answers move* | 4.00e10 | 4.00e10 | 4.00e9 | 4.0 |" in text
    assert "| As run, counted by torch | 4.00e11 | 4.00e11 | 4.00e10 | 40.0 |" in text
    assert [operations(value) for value in (8e13, 1.336e11, 0.0)] == ["8.00e13", "1.34e11", "0.00e0"]


def test_the_figure_shows_every_change() -> None:
    figure = study_figure(cells(), "a note")
    assert len(figure.axes) == 8
    curve, step, layers, options = figure.axes[:4]
    assert [text.get_text() for text in layers.texts] == ["−12.5", "setting"]
    assert [text.get_text() for text in options.get_yticklabels()] == ["mode ablate"]
    drawn = [(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in curve.lines]
    assert ([25.0, 50.0, 100.0], [25.0, 75.0, 75.0]) in drawn
    assert step.get_xscale() == "log"
    whole = cells()
    bare = study_figure(whole[whole["change"].isin(["baseline", OWN])])
    assert [text.get_text() for axes in bare.axes[:4] for text in axes.texts] == ["not varied"] * 4
