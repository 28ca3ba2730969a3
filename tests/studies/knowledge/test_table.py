"""The table of general knowledge against counts by hand."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from yapo.evaluation.bootstrap import fact_weights
from yapo.reporting.finding import render_blocks
from yapo.reporting.tables import TableOptions
from yapo.studies.knowledge import report
from yapo.studies.knowledge.report import finding_lines, knowledge_cells, knowledge_changes, knowledge_table

OPTIONS = TableOptions(resamples=200, note="A note.")
ABOUT = {"egypt": {"ksa": "same language", "morocco": "same language"}, "nepal": {"india": "same language"}}


def answers(seed: int = 0, facts: int = 12) -> pd.DataFrame:
    """Answers about the steered country and its siblings, unsteered, under a vector and under the control."""
    rng = np.random.default_rng(seed)
    rows = []
    for country, siblings in ABOUT.items():
        for asked, about in {country: "own", **siblings}.items():
            for method, right in (("baseline", 0.8), ("random", 0.75), ("caa", 0.4)):
                for fact in range(facts):
                    row = {"country": country, "method": method, "about": about, "task": f"culture_mcq_{asked}", "metric": "acc"}
                    value = float(rng.random() < right)
                    rows.append({**row, "questions": "culture_mcq", "question_id": f"f{fact}", "value": value})
    return pd.DataFrame(rows).assign(stderr=np.nan, n=1)


def perplexities() -> pd.DataFrame:
    """A metric without single answers, of one task, in two steered countries."""
    values = {("egypt", "baseline"): 10.0, ("egypt", "caa"): 12.0, ("nepal", "baseline"): 10.0, ("nepal", "caa"): 13.0}
    rows = [{"country": country, "method": method, "value": value} for (country, method), value in values.items()]
    fixed = {"questions": "wikitext", "task": "wikitext", "about": "", "metric": "word_perplexity", "question_id": ""}
    return pd.DataFrame(rows).assign(**fixed, stderr=0.5, n=62)


def cell(cells: pd.DataFrame, about: str, method: str) -> pd.Series:
    (row,) = cells[(cells["about"] == about) & (cells["method"] == method)].to_dict("records")
    return pd.Series(row)


def test_cells_are_means_over_steered_countries() -> None:
    rows = answers()
    cells = knowledge_cells(rows, OPTIONS)
    assert list(dict.fromkeys(cells["about"])) == ["own", "same language"]
    for about in ("own", "same language"):
        part = rows[rows["about"] == about]
        means = part.groupby(["method", "country"])["value"].mean().groupby("method").mean()
        for method in ("baseline", "random", "caa"):
            found = cell(cells, about, method)
            assert found["value"] == pytest.approx(means[method])
            assert found["low"] < found["value"] < found["high"]
            if method == "baseline":
                assert np.isnan(found["change"])
            else:
                assert found["change"] == pytest.approx(means[method] - means["baseline"])
    same = cell(cells, "same language", "caa")
    assert (same["n"], same["n_questions"], same["countries"]) == (36, 12, 2)
    assert (cells["interval"] == "bootstrap").all()


def test_an_interval_of_a_change_draws_the_same_facts_before_and_after() -> None:
    """Against the plain loop over resamples: countries apart, their mean, the difference, its quantiles."""
    rows = answers(seed=3)
    found = cell(knowledge_cells(rows, OPTIONS), "own", "caa")
    facts = sorted(rows["question_id"].unique())
    own = rows[rows["about"] == "own"]
    changes = []
    for weights in fact_weights(len(facts), OPTIONS.resamples, OPTIONS.seed)[1:]:
        drawn = own.assign(weight=own["question_id"].map(dict(zip(facts, weights, strict=True))))
        drawn["sum"] = drawn["weight"] * drawn["value"]
        sums = drawn.groupby(["method", "country"])[["sum", "weight"]].sum()
        means = (sums["sum"] / sums["weight"]).groupby("method").mean()
        changes.append(means["caa"] - means["baseline"])
    assert [found["change_low"], found["change_high"]] == pytest.approx(np.quantile(changes, [0.025, 0.975]).tolist())


def test_a_method_that_answers_as_the_baseline_changes_nothing_for_sure() -> None:
    rows = answers()
    same = rows[rows["method"] == "baseline"].assign(method="caa")
    cells = knowledge_cells(pd.concat([rows[rows["method"] != "caa"], same], ignore_index=True), OPTIONS)
    for about in ("own", "same language"):
        assert cell(cells, about, "caa")[["change", "change_low", "change_high"]].tolist() == [0, 0, 0]


def test_cells_do_not_depend_on_the_order_of_rows() -> None:
    rows, few = pd.concat([answers(facts=4), perplexities()], ignore_index=True), TableOptions(resamples=20)
    shuffled = rows.sample(frac=1, random_state=0, ignore_index=True)
    pd.testing.assert_frame_equal(knowledge_cells(shuffled, few), knowledge_cells(rows, few))


def test_scores_without_answers_take_lm_evals_errors() -> None:
    cells = knowledge_cells(pd.concat([answers(), perplexities()], ignore_index=True), OPTIONS)
    found = cell(cells, "", "caa")
    z = NormalDist().inv_cdf(0.975)
    assert (found["value"], found["change"], found["n"], found["n_questions"]) == (12.5, 2.5, 124, 62)
    assert [found["low"], found["high"]] == pytest.approx([12.5 - 0.5 * z, 12.5 + 0.5 * z])
    assert [found["change_low"], found["change_high"]] == pytest.approx([2.5 - 0.5**0.5 * z, 2.5 + 0.5**0.5 * z])
    text = knowledge_table(cells, "vectors: both", OPTIONS).texts["md"]
    assert "wikitext, word\\_perplexity: no mean of single answers" in text


def test_the_table_shows_interval_and_n_in_every_line() -> None:
    cells = knowledge_cells(answers(), OPTIONS)
    text = knowledge_table(cells, "vectors: both", OPTIONS).texts["md"]
    lines = [line for line in text.splitlines() if line.startswith("| ") and ":--" not in line and "Baseline" not in line]
    assert [line.count(" [") for line in lines] == [3, 3, 2, 2]
    assert [line.split("|")[-2].strip() for line in lines] == ["24 (12 facts)", "36 (12 facts)"] * 2
    assert [name.strip() for name in text.splitlines()[6].split("|")[3:6]] == ["Baseline", "Random", "CAA"]


def test_the_finding_has_a_line_for_each_kind_of_question() -> None:
    cells = knowledge_cells(pd.concat([answers(), perplexities()], ignore_index=True), OPTIONS)
    lines = finding_lines(cells)
    assert [(line["title"], line["about"]) for line in lines] == [
        ("Multiple choice", "steered country"),
        ("Multiple choice", "others of its language"),
        ("wikitext, word_perplexity", ""),
    ]
    method, change = lines[0]["changes"][1]
    assert (method, change.partition(" [")[0]) == ("caa", f"−{-100 * cell(cells, 'own', 'caa')['change']:.1f}")
    template = Path(report.__file__).with_name("finding.md.j2")
    values = {"countries": 2, "vector": "vectors: both", "lines": lines, "confidence": 0.95, "own": True, "note": ""}
    text = render_blocks(template, **values)
    assert text["reading"].split("\n")[3] == "wikitext, word_perplexity, baseline 10.000: CAA +2.500 [+1.114, +3.886]."
    assert text["limits"].startswith("Intervals (95%) are over questions") and len(text["limits"].split("\n")) == 2


def test_the_figure_has_a_panel_for_each_kind_of_question() -> None:
    cells = knowledge_cells(pd.concat([answers(), perplexities()], ignore_index=True), OPTIONS)
    choice, words, *_ = knowledge_changes(cells, OPTIONS.note).axes
    assert [axes.get_title(loc="left") for axes in (choice, words)] == ["Multiple choice", "wikitext, word_perplexity"]
    drawn = [float(np.asarray(line.get_xdata())[0]) for line in choice.lines if line.get_linestyle() == "None"]
    changes = [100 * cell(cells, about, method)["change"] for about in ("own", "same language") for method in ("random", "caa")]
    assert drawn == pytest.approx(changes)
