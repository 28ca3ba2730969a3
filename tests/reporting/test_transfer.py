"""Transfer between countries: numbers, table, figures and reading, from rows whose results are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.reporting.tables import TableOptions
from yapo.reporting.transfer import OVERALL, TransferCells, transfer_cells, transfer_table
from yapo.reporting.transfer_figures import transfer_adoption, transfer_matrix, transfer_relations
from yapo.reporting.transfer_reading import transfer_finding, transfer_reading

OPTIONS = TableOptions(resamples=200, note="a note")
LANGUAGES = {"egypt": "Arabic", "morocco": "Arabic", "nepal": "Hindi"}
FACTS = 4
# Of four facts, how many are right: unsteered one; own vector three; a sibling's none, and its own answer on three.
RIGHT = {"none": 1, "own": 3, "same language": 0, "other languages": 1, "left out": 2, "prompt": 4}


def answers(task: str, country: str, source: str, relation: str, method: str) -> list[dict[str, object]]:
    scale = 1.0 if task == "mcq" else 10.0
    sibling = relation == "same language"
    return [
        {
            "language": LANGUAGES[country], "country": country, "source": source, "relation": relation, "task": task,
            "setting": "nonlocalized", "variant": variant, "method": method, "question_id": f"f{fact}", "phrasing": 0,
            "multiplier": 1.0, "epoch": 1, "score": scale * (fact < RIGHT[relation]), "parsed": True,
            "exact": fact < RIGHT[relation], "change": scale * ((fact < RIGHT[relation]) - float(fact < 1)),
            "adopted": float(fact < 3) if sibling else np.nan, "adopted_before": float(fact == 3) if sibling else np.nan,
        }
        for variant in ("localized", "nonlocalized")
        for fact in range(FACTS)
    ]  # fmt: skip


def rows(tasks: tuple[str, ...] = ("mcq", "open_ended"), countries: tuple[str, ...] = tuple(LANGUAGES)) -> pd.DataFrame:
    made = []
    for task in tasks:
        for country in countries:
            made += answers(task, country, "", "none", "baseline") + answers(task, country, "", "prompt", "prompt")
            for source in countries:
                near = LANGUAGES[source] == LANGUAGES[country]
                relation = "own" if source == country else "same language" if near else "other languages"
                made += answers(task, country, source, relation, "caa")
                if relation == "same language":
                    made += answers(task, country, "", "left out", "caa")
    return pd.DataFrame(made)


@pytest.fixture(scope="module")
def cells() -> TransferCells:
    return transfer_cells(rows(), OPTIONS)


def cell(cells: TransferCells, **where: str) -> pd.Series:
    data = cells.pairs if "country" in where else cells.languages
    found = data[(data[list(where)] == pd.Series(where)).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


def test_pairs_of_countries(cells: TransferCells) -> None:
    place = {"task": "mcq", "variant": "localized", "method": "caa"}
    own = cell(cells, **place, source="egypt", country="egypt", measure="change")
    assert own[["value", "relation", "n", "n_facts"]].tolist() == [50.0, "own", 4, 4]
    assert own["low"] <= 50.0 <= own["high"]
    sibling = cell(cells, **place, source="egypt", country="morocco", measure="adopted")
    assert sibling[["value", "relation"]].tolist() == [75.0, "same language"]
    open_ended = cell(cells, **{**place, "task": "open_ended"}, source="nepal", country="egypt", measure="score")
    assert open_ended["value"] == 2.5


def test_languages_are_means_over_pairs_then_countries(cells: TransferCells) -> None:
    place = {"task": "open_ended", "variant": "nonlocalized", "method": "caa"}
    assert cell(cells, **place, language="Arabic", relation="own", measure="change")["value"] == 5.0
    overall = cell(cells, **place, language=OVERALL, relation="other languages", measure="change")
    assert overall[["value", "n", "pairs"]].tolist() == [0.0, 16, 4]
    same = cell(cells, **place, language=OVERALL, relation="same language", measure="exact")
    assert same[["value", "pairs"]].tolist() == [0.0, 2]
    assert not len(cells.languages.query("language == 'Hindi' and relation == 'same language'"))


def test_countries_count_once_whatever_the_number_of_sources() -> None:
    made = rows(("mcq",))
    # Morocco is hurt by nepal, egypt is not: each country's own mean over sources first.
    hurt = (made["country"] == "morocco") & (made["source"] == "nepal")
    made.loc[hurt, "change"] = -1.0
    extra = made[(made["country"] == "egypt") & (made["source"] == "nepal")].assign(source="india")
    found = transfer_cells(pd.concat([made, extra]), OPTIONS)
    place = {"task": "mcq", "variant": "localized", "method": "caa", "language": "Arabic"}
    assert cell(found, **place, relation="other languages", measure="change")["value"] == -50.0


def test_table(cells: TransferCells) -> None:
    table = transfer_table(cells, OPTIONS)
    text = table.texts["md"]
    block = text[text.index("Open-ended, non-localized") :]
    lines = {tuple(part.strip(" *") for part in line.strip("|").split("|")[:2]): line for line in block.splitlines()}
    baseline = [part.strip() for part in lines["Arabic", "Baseline"].strip("|").split("|")]
    assert baseline[2].startswith("2.50 [")
    assert baseline[3:7] == ["–"] * 4
    assert baseline[7].startswith("25.0 [")
    assert baseline[8].startswith("25.0 [")
    own = [part.strip() for part in lines["", "CAA"].strip("|").split("|")]
    assert own[2:] != baseline[2:]
    assert "+5.00 [" in block
    assert "−2.50 [" in block
    assert "8 [8 / 8 / 8]" in block
    assert "a note" in table.texts["tex"]
    assert "Overall" in text


def test_the_matrix_has_a_number_for_every_pair(cells: TransferCells) -> None:
    figure = transfer_matrix(cells, "caa")
    assert len(figure.axes) == 4
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Egypt", "Morocco", "Nepal"]
    texts = {
        tuple(np.round(text.get_position()).astype(int)): text.get_text() for text in axes.texts if text.get_text()[0] != "±"
    }
    assert len(texts) == 9
    assert texts[0, 0] == texts[1, 1] == texts[2, 2] == "+50"
    assert texts[1, 0] == texts[0, 1] == "−25"
    assert texts[2, 0] == "+0"
    assert [patch.get_width() for patch in axes.patches] == [2, 1]
    assert "tried on other countries" in transfer_matrix(cells, "yapo").axes[0].texts[0].get_text()


def test_figures_of_relations_and_answers(cells: TransferCells) -> None:
    left = transfer_relations(cells, "nonlocalized").axes[0]
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names[:4] == ["Arabic: own", "left out", "same language", "other languages"]
    places = [float(line.get_ydata()[0]) for line in left.lines if line.get_marker() == "^"]
    assert len(places) == len(set(places)) == 4 + 2 + 4
    shares = transfer_adoption(cells, "nonlocalized").axes[0]
    filled = {line.get_markerfacecolor(): line.get_xdata()[0] for line in shares.lines if line.get_marker() == "^"}
    assert sorted(filled.values()) == [0.0, 75.0]
    assert filled["white"] == 0.0
    alone = transfer_cells(rows(("mcq",), ("egypt", "nepal")), OPTIONS)
    assert "two countries" in transfer_adoption(alone, "localized").axes[0].texts[0].get_text()


def test_reading(cells: TransferCells) -> None:
    text = transfer_reading(cells)
    assert text.startswith("On non-localized test questions, mean over 3 countries. Changes by (own | left out |")
    assert "Multiple choice (unsteered 25.0%): CAA +50.0 [" in text
    assert " | +25.0 [" in text
    assert " | −25.0 [" in text
    assert " | +0.0 [+0.0, +0.0]." in text
    shares = "CAA (75% the vector's country's, 25% before; 0% the asked one's)"
    assert f"answers are more often those of the vector's country: {shares}." in text
    finding = transfer_finding(cells, ("a",))
    assert finding.reading == text
    assert finding.figures == ("a",)
    alone = transfer_reading(transfer_cells(rows(("mcq",), ("egypt", "nepal")), OPTIONS))
    assert " | – | – | " in alone
    assert "answers are more often" not in alone


def test_no_rows_is_refused() -> None:
    with pytest.raises(YapoError, match="no rows of the transfer study"):
        transfer_cells(rows().head(0), OPTIONS)
