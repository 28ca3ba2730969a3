"""Tables, figures and finding of the features study."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from yapo.reporting.finding import render_blocks
from yapo.reporting.tables import Table, TableOptions
from yapo.studies.features import report
from yapo.studies.features.figure import overlap_figure, spectrum_figure
from yapo.studies.features.table import COHERENCE, METHODS, NAME, SHARED, features_tables, sorted_rows

from .frames import tops, vectors

OPTIONS = TableOptions(resamples=100, note="A small world.")


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return features_tables(sorted_rows(vectors()), sorted_rows(tops()), 2, OPTIONS)


def test_every_table_with_its_control(tables: dict[str, Table]) -> None:
    overlap = tables[NAME].texts["md"]
    assert "## Multiple choice, both" in overlap
    assert "| YaPO | 3 [3, 3] | 2.0 [2.0, 2.0] | 2.00 [2.00, 2.00] | 1.00 [1.00, 1.00] | 0.00 [0.00, 0.00] |" in overlap
    assert "| By chance, at most | – | – | – | 0 | 0 | 0.03 | 0.03 | – |" in overlap
    assert "| BiPO and YaPO | 1.00 [1.00, 1.00] | 0.33 [" in tables[METHODS].texts["md"]
    coherence = tables[COHERENCE].texts["md"]
    rates = "25.0 [25.0, 25.0] | 25.0 [25.0, 25.0] | 50.0 [50.0, 50.0]"
    assert f"| YaPO | itself | 4 of 8 (4 silenced) | {rates} | 6 of 6 | 0.80 [0.80, 0.80] |" in coherence
    assert "| BiPO | itself | 8 of 8 | " in coherence
    assert re.search(r"\|  \| control \|( – \|){5} 0.10 \[0.10, 0.10\]", coherence)
    shared = tables[SHARED].texts
    assert "| BiPO | 7 | 4 of 4 | 2 | +0.500 |" in shared["md"]
    assert "tex" not in shared
    assert all("A small world." in table.texts["html"] for table in tables.values())


def test_the_finding_says_the_numbers_of_the_tables(tables: dict[str, Table]) -> None:
    parts = report.finding_parts(tables, ["both"])
    lines = render_blocks(Path(report.__file__).with_name("finding.md.j2"), parts=parts)["reading"].split("\n")
    assert lines[0] == "Multiple choice, both. Effective number of features: BiPO 2, YaPO 2."
    assert lines[1].endswith("share a language: BiPO 1.00, YaPO 1.00; that do not: BiPO 0.00, YaPO 0.00.")
    assert lines[2].endswith("during steering: BiPO 0.50, YaPO 0.50; of a control's: BiPO 0.05, YaPO 0.05.")


def test_a_vector_whose_features_can_all_not_be_compared_is_not_passed_over() -> None:
    rows = sorted_rows(tops()).assign(fires=0.0)
    rows[[f"{who}_{what}" for who in ("kept", "control") for what in ("tokens", "topics", "mass")]] = float("nan")
    made = features_tables(sorted_rows(vectors()), rows, 2, OPTIONS)
    assert "| YaPO | itself | 0 of 8 (8 never fire before) |" in made[COHERENCE].texts["md"]
    (part,) = report.finding_parts(made, ["both"])
    assert part["kept_mass"] == {} and part["effective"] == {"bipo": 2.0, "yapo": 2.0}


def test_a_study_of_one_country_has_no_pairs_and_no_chance() -> None:
    one = [frame[frame["country"] == "egypt"] for frame in (vectors(), tops())]
    made = features_tables(sorted_rows(one[0]), sorted_rows(one[1]), 2, OPTIONS)
    assert all("nan" not in table.texts["md"] for table in made.values())


def test_a_study_of_two_countries_has_no_intervals_and_is_read_all_the_same() -> None:
    two = ["usa", "egypt"]
    rows, strongest = (frame[frame["country"].isin(two)] for frame in (vectors(("both",)), tops()))
    made = features_tables(sorted_rows(rows), sorted_rows(strongest), 2, OPTIONS)
    (part,) = report.finding_parts(made, ["both"])
    assert part["cosine_same"] == {}  # no two of them share a language
    assert "nan" not in made[NAME].texts["md"] + made[COHERENCE].texts["md"]
    assert "| YaPO | 3 | 2.0 | 2.00 | – | 0.00 | – | 0.00 | – |" in made[NAME].texts["md"]


def test_figures_show_cosines_and_cumulated_effects() -> None:
    rows = sorted_rows(vectors(("both",)))
    assert rows["language"].drop_duplicates().tolist() == ["English", "Arabic"]
    picture = overlap_figure(rows).axes[0].images[0].get_array()
    assert (picture[0, 1], picture[0, 2]) == pytest.approx((1, 0))  # a country of the same language, and of another
    bipo, yapo = spectrum_figure(rows).axes[0].lines
    assert list(yapo.get_ydata()) == pytest.approx([400 / 7, 600 / 7, 100])
    assert list(bipo.get_xdata()) == [1, 2]
