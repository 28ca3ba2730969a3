"""Transfer between countries: numbers, tables and figures from rows whose results are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.reporting.finding import render_blocks
from yapo.reporting.tables import TableOptions
from yapo.studies.transfer.figure import transfer_adoption, transfer_matrix, transfer_relations
from yapo.studies.transfer.report import FINDING
from yapo.studies.transfer.run import adopted, answers_of
from yapo.studies.transfer.table import (
    OVERALL,
    TransferCells,
    finding_values,
    transfer_cells,
    transfer_pairs_table,
    transfer_table,
)


def items(country: str, answers: dict[str, str]) -> pd.DataFrame:
    options = [["cereal", "ful", "kabsa", "msemen"], ["coffee", "tea", "mint tea", "ahwa"]]
    return pd.DataFrame(
        {
            "question_id": fact, "variant": "nonlocalized", "phrasing": 0, "country": country, "answer": answer,
            "options": options[i % 2], "answer_index": options[i % 2].index(answer) if answer in options[i % 2] else 0,
        }
        for i, (fact, answer) in enumerate(answers.items())
    )  # fmt: skip


EGYPT = items("egypt", {"breakfast": "ful", "drink": "tea", "supper": "ful", "snack": "coffee"})
KSA = items("ksa", {"breakfast": "kabsa", "drink": "ahwa", "supper": "Ful."})


def test_answers_of_the_same_question() -> None:
    shuffled = KSA.sample(frac=1, random_state=1)
    assert answers_of(EGYPT, shuffled) == ["kabsa", "ahwa", "Ful.", None]
    assert answers_of(EGYPT.assign(phrasing=1), KSA) == [None] * 4


@pytest.mark.parametrize(
    ("task", "completions"),
    [("open_ended", ["Kabsa.", "tea", "ful", "x"]), ("mcq", ["\\boxed{3}", "\\boxed{2}", "\\boxed{2}", ""])],
)
def test_share_of_the_others_answers(task: str, completions: list[str]) -> None:
    # The same answer in both countries, and a question that the other is not asked, say nothing.
    hits = adopted(EGYPT, completions, task, answers_of(EGYPT, KSA))
    assert hits[:2] == [1.0, 0.0]
    assert all(math.isnan(hit) for hit in hits[2:])


def test_an_answer_that_is_no_option_cannot_be_chosen() -> None:
    foreign = ["pancakes", "ahwa", None, None]
    chosen = adopted(EGYPT, ["\\boxed{1}"] * 4, "mcq", foreign)
    assert math.isnan(chosen[0])
    assert chosen[1] == 0.0
    assert adopted(EGYPT, ["Pancakes", "", "", ""], "open_ended", foreign)[:2] == [1.0, 0.0]


def test_rows_keep_their_place_whatever_their_index() -> None:
    assert adopted(EGYPT.set_axis([7, 3, 3, 9]), ["kabsa", "", "", ""], "open_ended", ["kabsa", "ahwa", None, None])[:2] == [1, 0]


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
    same = cell(cells, **place, language=OVERALL, relation="same language", measure="kept")
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


def reading(cells: TransferCells) -> str:
    return render_blocks(FINDING, **finding_values(cells))["reading"]


def test_the_finding_gives_changes_and_whose_answers(cells: TransferCells) -> None:
    text = reading(cells)
    assert text.startswith("On non-localized test questions, mean over 3 countries. Changes by (own | left out |")
    assert "Multiple choice (unsteered 25.0%; n = 12 of 4 | 8 of 4 | 8 of 4 | 16 of 4 facts): CAA +50.0 [" in text
    assert " | +25.0 [" in text
    assert " | −25.0 [" in text
    assert " | +0.0 [+0.0, +0.0]." in text
    assert (
        "differ (n = 8 answers to 4 facts): CAA 75% the vector's country's, 25% before, 0% the asked one's, difference +75 ["
        in text
    )
    alone = reading(transfer_cells(rows(("mcq",), ("egypt", "nepal")), OPTIONS))
    assert " | – | – | " in alone
    assert "Answers under" not in alone


def told(made: pd.DataFrame, adopted: list[float], exact: list[bool]) -> pd.DataFrame:
    """The rows of one task, with as many facts as answers are given here under siblings' vectors."""
    same = made["relation"] == "same language"
    facts = [
        made[made["question_id"] == "f0"].assign(
            question_id=f"g{place}",
            adopted=np.where(same[made["question_id"] == "f0"], theirs, np.nan),
            adopted_before=np.where(same[made["question_id"] == "f0"], theirs, np.nan),
            exact=np.where(same[made["question_id"] == "f0"], own, made.loc[made["question_id"] == "f0", "exact"]),
        )
        for place, (theirs, own) in enumerate(zip(adopted, exact, strict=True))
    ]
    return pd.concat(facts, ignore_index=True)


def test_shares_are_of_the_questions_on_which_the_two_countries_differ() -> None:
    """Two of four facts have one answer in both countries: an exact answer to them is nobody's."""
    made = told(rows(("mcq",)), [np.nan, np.nan, 1.0, 1.0], [True, True, False, False])
    cells = transfer_cells(made, OPTIONS)
    place = {"task": "mcq", "variant": "nonlocalized", "method": "caa", "language": OVERALL, "relation": "same language"}
    shares = {name: cell(cells, **place, measure=name) for name in ("adopted", "kept", "lead", "kept_before")}
    assert {name: found["value"] for name, found in shares.items()} == {
        "adopted": 100.0, "kept": 0.0, "lead": 100.0, "kept_before": 100.0,
    }  # fmt: skip
    assert {found["n"] for found in shares.values()} == {4}
    text = transfer_table(cells, OPTIONS).texts["md"]
    assert "| 0.0 [0.0, 84.2] | 100.0 [15.8, 100.0] |" in text


def test_whose_answers_are_more_is_a_difference_on_the_same_questions() -> None:
    """10 to 3 of 20: the two intervals touch, that of the difference does not reach 0."""
    clear = transfer_cells(told(rows(("mcq",)), [1.0] * 10 + [0.0] * 10, [False] * 17 + [True] * 3), OPTIONS)
    place = {"task": "mcq", "variant": "nonlocalized", "method": "caa", "language": OVERALL, "relation": "same language"}
    theirs, own, lead = (cell(clear, **place, measure=name) for name in ("adopted", "kept", "lead"))
    assert theirs["low"] <= own["high"]
    assert lead["low"] > 0
    assert lead["value"] == pytest.approx(35.0)


def test_every_pair_has_a_cell_in_a_table_of_its_own(cells: TransferCells) -> None:
    table = transfer_pairs_table(cells, OPTIONS)
    text = table.texts["md"]
    block = text[text.index("Multiple choice, non-localized") : text.index("Open-ended, localized")]
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in block.splitlines() if line.startswith("|")]
    assert lines[0] == ["Method", "Vector of", "Egypt", "Morocco", "Nepal"]
    egypt, morocco, nepal = lines[2:]
    assert egypt[:2] == ["CAA", "Egypt"]
    assert egypt[2].startswith("+50.0 [")
    assert egypt[2].endswith("] n = 4")
    assert egypt[3].startswith("−25.0 [")
    assert nepal[2] == "+0.0 [+0.0, +0.0] n = 4"
    assert morocco[1:3] == ["Morocco", egypt[3]]
    assert set(table.texts) == {"csv", "md", "tex", "html"}
    assert table.texts["csv"].splitlines()[0].startswith("task,variant,language,method,relation,source,country,measure,value,")
    assert "," + OVERALL not in table.texts["csv"]


def test_numbers_of_the_matrix_can_be_read_on_the_page() -> None:
    """Fifteen countries: at the width that the page gives a figure, no number is set in less than 6 points."""
    names = [f"c{place:02}" for place in range(15)]
    pairs = pd.DataFrame(
        {
            "task": task, "variant": variant, "language": "Arabic", "method": "caa", "relation": "own", "source": source,
            "country": country, "measure": "change", "value": -10.0, "low": -12.5, "high": 8.0, "n": 9, "n_facts": 3,
        }
        for task in ("mcq", "open_ended") for variant in ("localized", "nonlocalized") for source in names for country in names
    )  # fmt: skip
    figure = transfer_matrix(TransferCells(pairs, pairs), "caa")
    shown = min(1.0, 12.5 / figure.get_figwidth())
    figure.canvas.draw()
    for axes in figure.axes:
        assert min(float(text.get_fontsize()) for text in axes.texts) * shown >= 6
        width = axes.get_window_extent().width / len(names)
        different = {text.get_text(): text for text in axes.texts}.values()  # measuring one takes milliseconds
        assert max(text.get_window_extent().width for text in different) < width


def test_no_rows_is_refused() -> None:
    with pytest.raises(YapoError, match="no rows of the transfer study"):
        transfer_cells(rows().head(0), OPTIONS)
