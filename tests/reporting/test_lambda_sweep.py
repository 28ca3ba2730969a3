"""The λ sweep's numbers, table, figure and reading, from rows whose results are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.reporting.tables import TableOptions
from yapo.studies.lambda_sweep.figure import sweep_figure
from yapo.studies.lambda_sweep.finding import lambda_sweep_finding, lambda_sweep_reading
from yapo.studies.lambda_sweep.table import best_multipliers, gold_gap, lambda_sweep_table, sweep_cells

OPTIONS = TableOptions(resamples=200, note="a note")
GRID = (-1.0, 1.0, 2.0)
# Facts answered right, of four, in two countries; what is said gets less likely with |λ|.
RIGHT = {
    "caa": {-1.0: (0, 0), 1.0: (3, 3), 2.0: (0, 0)},
    "yapo": {-1.0: (1, 1), 1.0: (2, 2), 2.0: (4, 4)},
    "random": {-1.0: (1, 1), 1.0: (1, 1), 2.0: (1, 0)},
}
LOST = {"caa": -2.0, "yapo": -0.1, "random": 0.0}


def rows(task: str = "mcq", grid: tuple[float, ...] = GRID) -> pd.DataFrame:
    made = []
    for variant in ("localized", "nonlocalized"):
        for place, country in enumerate(("egypt", "nepal")):
            points = [("baseline", 0.0, 1)] + [(m, x, right[x][place]) for m, right in RIGHT.items() for x in grid]
            for method, multiplier, right in points:
                for fact in range(4):
                    lost = abs(multiplier) * LOST.get(method, 0.0)
                    made.append(
                        {
                            "language": "x", "country": country, "task": task, "setting": "nonlocalized", "method": method,
                            "variant": variant, "question_id": f"f{fact}", "phrasing": 0, "multiplier": multiplier,
                            "displacement": 3 * abs(multiplier), "score": (1.0 if task == "mcq" else 10.0) * (fact < right),
                            "parsed": not (method == "caa" and multiplier == 2.0 and fact == 0), "log_prob": -0.5 + lost,
                            "repeated": 0.5 if method == "caa" and multiplier == 1.0 else 0.0, "gold_log_prob": -1.0,
                        }
                    )  # fmt: skip
    return pd.DataFrame(made)


def test_cells_are_means_over_countries_with_differences_from_the_unsteered_model() -> None:
    cells = sweep_cells(rows(), OPTIONS).set_index(["variant", "method", "multiplier", "measure"]).sort_index()
    caa = cells.loc["nonlocalized", "caa", 1.0]
    assert caa.loc["score", ["value", "change"]].tolist() == [75.0, 50.0]
    assert caa.loc["log_prob", ["value", "change"]].tolist() == [-2.5, -2.0]
    assert caa.loc["repeated", "value"] == 50.0
    assert caa.loc["score", ["n", "n_facts", "countries", "displacement"]].tolist() == [8, 4, 2, 3.0]
    assert cells.loc["localized", "caa", 2.0].loc["unparsed", "value"] == 25.0
    assert cells.loc["localized", "random", 2.0].loc["score", "value"] == 12.5
    base = cells.loc["localized", "baseline", 0.0].loc["score"]
    assert base[["value", "change", "change_low", "change_high"]].tolist() == [25.0, 0.0, 0.0, 0.0]
    spread = caa.loc["score"]
    assert spread["low"] < spread["value"] < spread["high"]
    assert spread["change_low"] < spread["change"] < spread["change_high"]


def test_best_multiplier_and_its_interval() -> None:
    best = best_multipliers(rows(), OPTIONS).set_index(["variant", "method"])
    assert best.loc[("nonlocalized", "caa"), "best"] == 1.0
    assert best.loc[("nonlocalized", "yapo"), "best"] == 2.0
    # Level with the baseline at every point: the smallest |λ| wins.
    assert best.loc[("nonlocalized", "random"), "best"] == 0.0
    assert (best["best_low"] <= best["best"]).all()
    assert (best["best"] <= best["best_high"]).all()
    without = best_multipliers(rows(), TableOptions(resamples=0))
    assert without["best_low"].isna().all()


def test_table() -> None:
    table = lambda_sweep_table(rows(), OPTIONS)
    lines = [line for line in table.texts["md"].splitlines() if "CAA" in line]
    assert len(lines) == 2
    cells = [cell.strip() for cell in lines[1].strip("|").split("|")]
    assert cells[2].startswith("1 [")
    assert cells[3].startswith("75.0 [")
    assert cells[4] == "−2.00 [−2.00, −2.00]"
    assert cells[6] == "0.0 [0.0, 60.2]"  # all wrong: of four facts that are, six in ten may be right ones
    assert cells[8:10] == ["50.0 [50.0, 50.0]", "0.0 [0.0, 60.2]"]
    assert cells[11] == "8 (4 facts)"
    assert "Right answers differ from the unsteered ones by −0.50 (multiple choice, localized)" in table.texts["md"]
    assert "tends to be too high, by an amount that need not be the same for every method" in table.texts["md"]
    assert "a note" in table.texts["tex"]


def test_a_grid_without_one_leaves_its_cells_out() -> None:
    table = lambda_sweep_table(rows(grid=(2.0,)), OPTIONS)
    line = next(line for line in table.texts["md"].splitlines() if "YaPO" in line)
    assert line.count("–") == 6
    assert "λ = −1 was not measured" in lambda_sweep_reading(rows(grid=(2.0,)), OPTIONS)


def test_the_reading_answers_the_three_questions() -> None:
    text = lambda_sweep_reading(rows(), OPTIONS)
    assert "Best λ: CAA 1 [" in text
    assert "YaPO 2 [" in text
    assert "(the end of the grid: no maximum found)" in text
    assert text.count("no maximum found") == 1
    assert "λ = −1 raises no method; " in text
    assert "Parse failures reach 25.0% (CAA, λ = 2)." in text
    assert "CAA −2.00, YaPO −0.10, Random +0.00; right answers would cost −0.50" in text
    assert "leaves it where the interval covers 0: no change can then be told." in text
    assert text.endswith("beyond it, and so at the cost of coherence: CAA.")
    assert "Open-ended (unsteered 2.50)" in lambda_sweep_reading(rows("open_ended"), OPTIONS)
    finding = lambda_sweep_finding(rows(), OPTIONS, ("a", "b"))
    assert "from λ = −1 to 2" in finding.question
    assert finding.figures == ("a", "b")


def test_a_best_multiplier_at_the_bottom_of_the_grid_is_no_maximum_either() -> None:
    made = rows()
    low = made["method"].eq("caa") & made["multiplier"].eq(-1.0)
    made.loc[low, "score"] = 1.0
    text = lambda_sweep_reading(made, OPTIONS)
    assert "Best λ: CAA −1 [−1, −1] (the end of the grid: no maximum found), YaPO 2 [" in text
    assert text.count("no maximum found") == 2


def test_the_reading_says_who_loses_on_localized_questions() -> None:
    made = rows()
    assert "On localized questions λ = 1 lowers no method, as far as can be told." in lambda_sweep_reading(made, OPTIONS)
    side = made["variant"].eq("localized")
    made.loc[side & made["method"].eq("baseline"), "score"] = 1.0
    made.loc[side & made["method"].eq("yapo") & made["multiplier"].eq(1.0), "score"] = 0.0
    made.loc[side & made["method"].isin(["caa", "random"]), "score"] = 1.0
    text = lambda_sweep_reading(made, OPTIONS)
    assert "On localized questions λ = 1 lowers YaPO (−100.0 [−100.0, −14.8])." in text
    assert "On localized" not in lambda_sweep_reading(made[~side], OPTIONS)


def test_right_answers_cost_what_they_do_in_each_country_counted_once() -> None:
    made = rows()
    more = made[made["country"] == "egypt"].assign(question_id="g", gold_log_prob=-3.5)
    both = pd.concat([made, *[more.assign(question_id=f"g{place}") for place in range(3)]])
    # Egypt: 4 facts at -0.5 and, in this order, 12 at -3.0; Nepal: -0.5.
    expected = ((4 * -0.5 + 12 * -3.0) / 16 - 0.5) / 2
    assert gold_gap(both)["mcq", "nonlocalized"] == pytest.approx(expected)


@pytest.mark.parametrize("by_displacement", [False, True])
def test_figure_runs_through_the_unsteered_model(by_displacement: bool) -> None:
    cells = sweep_cells(pd.concat([rows("mcq"), rows("open_ended")]), OPTIONS)
    gold = cells[["task", "variant"]].drop_duplicates().assign(value=-1.0)
    figure = sweep_figure(cells, gold, "nonlocalized", by_displacement=by_displacement)
    score = figure.axes[1]
    assert score.get_title(loc="left") == "Multiple choice,\nnon-localized"
    drawn = {tuple(line.get_xdata()): line.get_ydata().tolist() for line in score.lines if len(line.get_xdata()) == 4}
    x = (-3.0, 0.0, 3.0, 6.0) if by_displacement else (-1.0, 0.0, 1.0, 2.0)
    assert list(drawn) == [x]
    ys = [line.get_ydata() for line in score.lines if len(line.get_xdata()) == 4]
    assert [list(np.asarray(y)) for y in ys] == [[25, 25, 25, 12.5], [0, 25, 75, 0], [25, 25, 50, 100]]


def test_no_rows_is_refused() -> None:
    with pytest.raises(YapoError, match="no rows of the λ sweep; name countries of this experiment"):
        sweep_cells(rows().head(0), OPTIONS)
