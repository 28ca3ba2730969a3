"""The localization gap before steering: numbers from made answers, and the study of one country on the embedded model."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tests.stages import small_study
from tests.studies.one_country import reported, same_again
from yapo.config.compose import compose
from yapo.paths import Paths
from yapo.reporting.tables import TableOptions
from yapo.stages import app
from yapo.studies.gap import report, run

OPTIONS = TableOptions(resamples=200)


def answers(right: dict[str, list[int]], country: str = "uk", options: int = 4) -> pd.DataFrame:
    """Multiple-choice answers to one phrasing of some facts, by the form of the question."""
    frames = [
        pd.DataFrame(
            {
                "language": "English", "country": country, "task": "mcq", "way": "boxed number", "variant": form, "phrasing": 0,
                "question_id": [f"q{i}" for i in range(len(scores))], "score": [float(s) for s in scores], "parsed": True,
                "chance": 1 / options,
            }
        )
        for form, scores in right.items()
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def cell(cells: pd.DataFrame, measure: str, country: str = "uk") -> pd.Series:
    return cells[(cells["measure"] == measure) & (cells["country"] == country)].iloc[0]


def test_the_gap_is_paired_by_fact() -> None:
    """Each fact is right in one form and wrong in the other, so the gap is the same in every resample; the scores are not."""
    cells = report.gap_cells(answers({"localized": [1] * 20 + [0] * 4, "nonlocalized": [0] * 24}), OPTIONS)
    gap, named = cell(cells, "gap"), cell(cells, "localized")
    assert gap["value"] == named["value"] == pytest.approx(100 * 20 / 24)
    assert 50 < gap["low"] < gap["value"] < gap["high"] <= 100
    always = report.gap_cells(answers({"localized": [1, 1, 0] * 8, "nonlocalized": [0, 0, -1] * 8}), OPTIONS)
    assert cell(always, "gap")["value"] == 100.0
    assert 60 < cell(always, "gap")["low"] < 100  # 24 facts that are all alike do not make it certain


def test_chance_is_that_of_the_options_and_open_ended_questions_have_none() -> None:
    guessed = report.gap_cells(answers({"localized": [1, 0, 0, 0] * 12, "nonlocalized": [0] * 48}), OPTIONS)
    assert cell(guessed, "localized")["chance"] == 25.0
    assert bool(cell(guessed, "localized")["at_chance"]) and bool(cell(guessed, "nonlocalized")["at_chance"])
    known = report.gap_cells(answers({"localized": [1, 1, 1, 0] * 12, "nonlocalized": [0] * 48}), OPTIONS)
    assert not bool(cell(known, "localized")["at_chance"])
    open_ended = answers({"localized": [5, 7], "nonlocalized": [1, 2]}).assign(task="open_ended", way="", chance=math.nan)
    cells = report.gap_cells(open_ended, OPTIONS)
    assert not cells["at_chance"].any()
    assert cell(cells, "gap")["value"] == pytest.approx(4.5)
    assert report.gap_table(cells, OPTIONS).texts["md"].count("Localized") == 1


def test_the_finding_names_where_the_gap_is_and_where_chance_is() -> None:
    rows = pd.concat(
        [
            answers({"localized": [1] * 24, "nonlocalized": [0] * 24}),
            answers({"localized": [0, 1, 0, 0] * 6, "nonlocalized": [1, 0, 0, 0] * 6}, "usa"),
        ]
    )
    ((_, part),) = report.panels(report.gap_cells(rows, OPTIONS))
    found = report.finding_values(part)
    assert found["open"] == ["uk"]
    assert found["at_chance"] == [("localized", ["usa"]), ("nonlocalized", ["usa", "uk"])]
    assert found["means"] == [("localized", 62.5), ("nonlocalized", 12.5)]


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    facts = {"train": 6, "validation": 3, "test": 1}
    made = small_study.make(tmp_path_factory.mktemp("gap") / "results", ("morocco",), facts, ("nonlocalized",))
    return [*made, "generation.mcq=[boxed,likelihood]", "report.resamples=100"]


def test_the_study_of_a_country(overrides: list[str]) -> None:
    config = compose([*overrides, "country=morocco"])
    paths = Paths.of(config)
    app.run(run.main, [*overrides, "country=morocco"])
    path = paths.study_rows("gap", "arabic", "morocco")
    rows = pd.read_parquet(path)
    test = set(pd.read_parquet(paths.split).query("split == 'test'")["question_id"])
    assert not test & set(rows["question_id"])
    assert rows.groupby(["task", "way"]).size().nunique() == 1
    choice = rows[rows["task"] == "mcq"]
    means = choice.groupby(["way", "variant"])["score"].mean().unstack()
    assert (means["localized"] > means["nonlocalized"]).all()  # as the atlas is made
    assert choice["chance"].notna().all() and rows.loc[rows["task"] == "open_ended", "chance"].isna().all()
    same_again(run.main, config, path)
    finding = reported(lambda _: app.run(report.main, overrides), compose(overrides), "gap")
    assert finding.tables == ("gap",) and "localized" in finding.reading
