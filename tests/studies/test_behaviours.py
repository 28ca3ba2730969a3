"""The table, the figure and the reading of the study of behaviours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from yapo.reporting.tables import TableOptions
from yapo.studies.behaviours.table import behaviour_cells, behaviours_figure, behaviours_finding, behaviours_table

MADE = "model world/assistant; learning rates: YaPO 0.01."
OPTIONS = TableOptions(resamples=200, confidence=0.95, seed=0, scorer="a scorer", note="")
MEANS = {
    ("baseline", 0): 2.0,
    ("random", 1): 2.1,
    ("random", -1): 2.0,
    ("caa", 1): 2.5,
    ("caa", -1): 2.0,
    ("yapo", 1): 3.5,
    ("yapo", -1): 1.2,
}


def answers(behaviour: str, rejected: str, unscored: int = 0) -> pd.DataFrame:
    rng, frames = np.random.default_rng(0), []
    for (method, direction), mean in MEANS.items():
        score = mean + 0.2 * rng.standard_normal(40)
        score[: unscored if method == "yapo" else 0] = np.nan
        frames.append(
            pd.DataFrame(
                {
                    "behaviour": behaviour,
                    "method": method,
                    "direction": direction,
                    "question_id": [str(i) for i in range(40)],
                    "score": score,
                    "parsed": ~np.isnan(score),
                    "refused": np.arange(40) < 10 * (direction < 0),
                    "rejected": rejected,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    rows = [answers("jailbreak", "I'm sorry, I can't do that."), answers("wealth_seeking", "No money for me.", unscored=4)]
    return behaviour_cells(pd.concat(rows, ignore_index=True), OPTIONS)


def test_the_range_is_the_paired_difference_of_both_signs(cells: pd.DataFrame) -> None:
    one = cells[(cells["behaviour"] == "jailbreak") & (cells["measure"] == "score")].set_index(["method", "direction"])
    for method in ("random", "caa", "yapo"):
        assert one.loc[(method, 0), "value"] == pytest.approx(one.loc[(method, 1), "value"] - one.loc[(method, -1), "value"])
        assert one.loc[(method, 0), "low"] < one.loc[(method, 0), "value"] < one.loc[(method, 0), "high"]
    assert one.loc[("baseline", 0), "value"] == pytest.approx(2.0, abs=0.1)
    assert one.loc[("yapo", 1), "n"] == one.loc[("yapo", 1), "n_questions"] == 40


def test_refusals_are_counted_where_the_reference_refuses(cells: pd.DataFrame) -> None:
    assert set(cells.loc[cells["measure"] == "refused", "behaviour"]) == {"jailbreak"}
    refused = cells[cells["measure"] == "refused"].set_index(["method", "direction"])["value"]
    assert (refused[("yapo", -1)], refused[("yapo", 1)], refused[("baseline", 0)]) == (25.0, 0.0, 0.0)


def test_the_table_states_the_direction_and_what_is_unscored(cells: pd.DataFrame) -> None:
    text = behaviours_table(cells, OPTIONS, MADE).texts["md"]
    assert "Jailbreak (4: does what the harmful request asks; 1: refuses" in text
    assert "| Measure | Steered | Unsteered | Random | CAA | YaPO |" in text
    assert "Up to 10.0% of answers have no score" in text
    assert "a high score is more of the behaviour, not a better answer" in text.lower()
    row = next(line for line in text.splitlines() if line.startswith("|  | *range*") or line.startswith("| *Score* | *range*"))
    assert row.split("|")[3].strip() == "–"  # the unsteered model has no range


def test_the_reading_names_the_widest_range_with_its_interval_and_what_it_can_be_told_from(cells: pd.DataFrame) -> None:
    finding = behaviours_finding(cells, "a scorer", MADE)
    row = cells[(cells["measure"] == "score") & (cells["method"] == "yapo") & (cells["direction"] == 0)].iloc[0]
    first = finding.reading.split("\n")[0]
    assert row["behaviour"] == "jailbreak"
    assert f"YaPO has the widest range, +{row['value']:.2f} [+{row['low']:.2f}, +{row['high']:.2f}] over 40 questions" in first
    assert first.count("; above that of a random direction, +0.1") == 1
    assert "; above that of CAA, +0.47 [" in first
    assert finding.reading.count("+λ raises and −λ lowers it beyond the unsteered interval") == 2
    assert any("largest of several on the same test questions" in limit for limit in finding.limits)


def test_a_range_that_is_no_wider_than_chance_is_said_to_be_so(cells: pd.DataFrame) -> None:
    flat = cells.assign(value=2.0, low=1.9, high=2.1)
    reading = behaviours_finding(flat, "a scorer", MADE).reading
    assert "neither sign leaves its interval" in reading
    assert (
        reading.count("which cannot be told from chance") == reading.count("; not above that of a random direction, +2.00") == 2
    )
    assert "; not to be told from that of YaPO, +2.00" in reading or "; not to be told from that of CAA, +2.00" in reading
    steered = cells["method"].isin(["caa", "yapo"]) & (cells["direction"] == 0)
    below = cells.assign(**{name: cells[name].where(~steered, -1.0) for name in ("value", "low", "high")})
    assert "has the widest range," not in behaviours_finding(below, "a scorer", MADE).reading


def test_the_studys_own_model_is_named(cells: pd.DataFrame) -> None:
    assert behaviours_finding(cells, "a scorer", MADE).made == MADE
    assert all(f"Made with: {MADE}" in behaviours_table(cells, OPTIONS, MADE).texts[kind] for kind in ("md", "html"))


def test_the_figure_has_a_panel_per_behaviour(cells: pd.DataFrame) -> None:
    figure = behaviours_figure(cells)
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == ["Jailbreak", "Wealth-seeking"]
