"""Regions within a country: measures from their definition, numbers from made rows, and the study on the embedded model."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.refusals import refused
from tests.stages import small_study
from yapo.config.compose import compose
from yapo.paths import Paths
from yapo.reporting.tables import TableOptions
from yapo.stages import app
from yapo.studies.checks import check_study
from yapo.studies.regions import report, run

BRAZIL = ("brazil", "brazil.south")
PLACES = ("spain", "spain.andalusia", "spain.galicia")


def rows(values: dict[tuple[str, str], list[dict[str, float]]]) -> pd.DataFrame:
    """Rows of the study: for whose vector and which method, the log-probability of every place's answer to each question."""
    return pd.DataFrame(
        {"language": "Spanish", "country": source, "method": method, "question_id": f"f{fact}", "phrasing": 0,
         "answer_of": place, "log_prob": value}
        for (source, method), questions in values.items()
        for fact, answers in enumerate(questions)
        for place, value in answers.items()
    )  # fmt: skip


def answers(country: float, andalusia: float, galicia: float) -> dict[str, float]:
    return dict(zip(PLACES, (country, andalusia, galicia), strict=True))


MADE = rows(
    {
        ("spain", "baseline"): [answers(-1, -2, -3)] * 2,
        ("spain.andalusia", "baseline"): [answers(-1, -2, -3)] * 2,
        ("spain.galicia", "baseline"): [answers(-1, -2, -3)] * 2,
        ("spain", "caa"): [answers(-1, -5, -4), answers(-1, -1, -4)],  # the second is the answer of Andalusia too
        ("spain.andalusia", "caa"): [answers(-3, -1, -2), answers(-3, -4, -2)],
        ("spain.galicia", "caa"): [answers(-3, -2, -1), answers(-3, -2, -1)],
    }
)


def select(frame: pd.DataFrame, **where: str) -> pd.DataFrame:
    found = frame[(frame[list(where)] == pd.Series(where)).all(axis=1)]
    assert len(found)
    return found


def test_a_region_is_weighed_against_all_places_and_its_siblings() -> None:
    found = report.weighed(MADE)
    assert len(found) == 2 * 2 + 2 * 3 * 2  # the unsteered model once a region, the vectors by all relations

    def stand(region: str, method: str, relation: str) -> list[list[float]]:
        rows = select(found, region=f"spain.{region}", method=method, relation=relation).sort_values("question_id")
        return [rows[measure].tolist() for measure in report.MEASURES]

    assert stand("andalusia", "caa", "own") == [[100.0, 0.0], [100.0, 0.0]]
    assert stand("andalusia", "caa", "country") == [[0.0, 100.0], [0.0, 100.0]]
    assert stand("galicia", "caa", "country") == [[0.0, 0.0], [100.0, 0.0]]
    assert stand("galicia", "caa", "sibling") == [[0.0, 100.0], [0.0, 100.0]]
    assert stand("galicia", "baseline", "own") == [[0.0, 0.0], [0.0, 0.0]]


def test_cells_are_means_over_regions_and_paired_changes() -> None:
    second = MADE.assign(**{name: MADE[name].str.replace("spain", "brazil") for name in ("country", "answer_of")})
    second = second[~second["country"].str.endswith("galicia") | (second["method"] == "baseline")]
    cells = report.region_cells(pd.concat([MADE, second]), TableOptions(resamples=50))
    own = select(cells, country="spain", method="caa", relation="own", measure="likeliest")
    assert own[["value", "change", "n", "n_facts"]].iloc[0].tolist() == [75.0, 75.0, 4, 2]
    ahead = select(cells, country="spain", method="baseline", measure="ahead")
    assert ahead[["value", "change"]].iloc[0].tolist() == [50.0, 0.0]  # Andalusia's answer is always ahead of Galicia's
    overall = select(cells, country=report.OVERALL, method="caa", relation="own", measure="likeliest")
    assert overall["value"].tolist() == [pytest.approx((75.0 + 50.0) / 2)]


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    facts = {"train": 1, "validation": 1, "test": 2}
    folder = tmp_path_factory.mktemp("regions") / "results"
    more = ("data=regions", "tasks=[open_ended]", "settings=[nonlocalized]", "report.resamples=100")
    return small_study.make(folder, BRAZIL, facts, ("nonlocalized",), more)


def test_the_study_of_a_country_and_a_region(overrides: list[str]) -> None:
    paths = Paths.of(compose(overrides))
    for region in ("", "south"):
        place = ["country=brazil", f"region={region}"] if region else ["country=brazil"]
        app.run(run.main, [*overrides, *place])
    path = paths.study_rows("regions", "portuguese", "brazil.south")
    found, before = pd.read_parquet(path), path.read_bytes()
    assert set(found["method"]) == {"baseline", "random", "prompt", "caa", "yapo"}
    assert set(found["answer_of"]) == {*BRAZIL, "brazil.north", "brazil.northeast"}
    assert (found["log_prob"] < 0).all()
    app.run(run.main, [*overrides, "country=brazil.south"])
    assert path.read_bytes() == before
    report.main(compose(overrides))
    finding = json.loads(paths.finding("regions").read_text(encoding="utf-8"))
    assert "name no place, 1 country" in finding["reading"]
    table = (paths.root / "tables" / "regions.md").read_text(encoding="utf-8")
    assert "## Brazil" in table
    assert "| CAA | own |" in table
    assert (paths.root / "figures" / "regions.svg").stat().st_size > 5000


def test_it_needs_regions() -> None:
    refused(lambda: check_study(compose([]), "regions"), "data.source=atlas: has no regions of a country, which regions needs")
    alone = compose(["data=regions", "countries=[spain,uk]"])
    refused(lambda: check_study(alone, "regions"), "countries=spain,uk: names no region, which regions needs")
    check_study(compose(["data=regions"]), "regions")
