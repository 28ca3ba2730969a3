"""Tables, figures, reading and index of the features study."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from yapo.studies.features.finding import features_finding, features_index, features_reading

from yapo.reporting.finding import Finding
from yapo.reporting.style import write_figure
from yapo.reporting.tables import Table, TableOptions
from yapo.studies.features.cells import overlap_cells
from yapo.studies.features.figure import overlap_figure, spectrum_figure
from yapo.studies.features.table import COHERENCE, METHODS, NAME, SHARED, features_tables, page_notes, printed, sorted_rows

from ..evaluation.feature_frames import tops, vectors

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


def test_the_reading_is_made_of_the_numbers(tables: dict[str, Table]) -> None:
    text = features_reading(tables, ["both"])
    assert text.startswith("Multiple choice, both.\nEffective number of features: BiPO 2, YaPO 2.")
    assert "share a language: BiPO 1.00, YaPO 1.00; that do not: BiPO 0.00, YaPO 0.00" in text
    assert "vectors of one language are closer under 2 and less close under 0 of 2 methods" in text
    assert "have cosine 1.00 [1.00, 1.00] (another country's: 0.33 [" in text
    assert "share 100% of their strongest features (4.0% by chance)" in text
    assert "BiPO 0.50, YaPO 0.50 (control at most 0.05)" in text
    assert "of all countries' strongest: BiPO 8 of 8, YaPO 4 of 8 (4 silenced)." in text
    assert "topics across languages 1.00 to 1.00, above the control (0.00 to 0.00) by intervals under 2 of 2 methods" in text


def test_a_vector_whose_features_can_all_not_be_compared_is_not_passed_over() -> None:
    rows = sorted_rows(tops()).assign(fires=0.0)
    rows[[f"{who}_{what}" for who in ("kept", "control") for what in ("tokens", "topics", "mass")]] = float("nan")
    made = features_tables(sorted_rows(vectors()), rows, 2, OPTIONS)
    assert "| YaPO | itself | 0 of 8 (8 never fire before) |" in made[COHERENCE].texts["md"]
    assert "strongest: BiPO 0 of 8 (8 never fire before), YaPO 0 of 8 (8 never fire before)." in features_reading(made, ["both"])


def test_a_study_of_one_country_has_no_pairs_and_no_chance() -> None:
    one = [frame[frame["country"] == "egypt"] for frame in (vectors(), tops())]
    made = features_tables(sorted_rows(one[0]), sorted_rows(one[1]), 2, OPTIONS)
    assert all("nan" not in table.texts["md"] for table in made.values())


def test_a_study_of_two_countries_has_no_intervals_and_is_read_all_the_same() -> None:
    two = ["usa", "egypt"]
    rows, strongest = (frame[frame["country"].isin(two)] for frame in (vectors(("both",)), tops()))
    made = features_tables(sorted_rows(rows), sorted_rows(strongest), 2, OPTIONS)
    text = features_reading(made, ["both"])
    assert "share a language" not in text  # no two of them do
    assert "nan" not in text + made[NAME].texts["md"] + made[COHERENCE].texts["md"]
    assert "| YaPO | 3 | 2.0 | 2.00 | – | 0.00 | – | 0.00 | – |" in made[NAME].texts["md"]


def test_finding(tables: dict[str, Table], tmp_path: Path) -> None:
    finding = features_finding(tables, ["both"], ("features_overlap",))
    finding.save(tmp_path / "features.json")
    assert Finding.load(tmp_path / "features.json") == finding
    assert finding.pages == ("features/index.html",)
    assert set(finding.tables) == set(tables)


def test_figures_are_the_same_bytes_twice(tmp_path: Path) -> None:
    rows = sorted_rows(vectors(("both",)))
    for name, made in (("overlap", overlap_figure), ("spectrum", spectrum_figure)):
        first = [path.read_bytes() for path in write_figure(made(rows, "note"), tmp_path / name)]
        again = [path.read_bytes() for path in write_figure(made(rows, "note"), tmp_path / name)]
        assert first == again
    picture = overlap_figure(rows).axes[0].images[0].get_array()
    languages = rows["language"].drop_duplicates().tolist()
    assert languages == ["English", "Arabic"]
    assert (picture[0, 1], picture[0, 2]) == pytest.approx((1, 0))  # a country of the same language, and of another


def test_index_links_every_vector_and_lists_shared_features() -> None:
    html = features_index(sorted_rows(tops()), "some/sae", ["features_overlap"], "A small world.", "DSPA")
    assert '<a href="arabic-egypt/yapo-mcq-both.html">feature 7 …</a>' in html
    assert html.count('-mcq-both.html">feature') == 8
    assert '<a href="https://www.neuronpedia.org/some/sae/7">7</a>' in html
    assert 'src="../figures/features_overlap.png"' in html
    assert "a page for each that was trained on both questions (studies.features.settings)" in html
    assert "Not here: DSPA, a map and no vector" in html
    plain = features_index(sorted_rows(tops()), "", [], "", "")
    assert "neuronpedia" not in plain and "Not here" not in plain


def test_pages_say_whether_neuronpedia_has_the_autoencoder() -> None:
    assert any("has no pages" in note for note in page_notes(10, "", ""))
    assert not any("has no pages" in note for note in page_notes(10, "", "some/sae"))


def test_a_number_close_to_zero_has_no_sign() -> None:
    assert (printed(-0.001), printed(-0.25), printed(1.005, 1)) == ("0.00", "−0.25", "1.0")


def test_the_overlap_numbers_are_those_of_the_cells(tables: dict[str, Table]) -> None:
    from yapo.studies.features.cells import Resampling

    how = Resampling(OPTIONS.resamples, OPTIONS.confidence, OPTIONS.seed)
    pd.testing.assert_frame_equal(tables[NAME].data, overlap_cells(sorted_rows(vectors()), 2, how))
