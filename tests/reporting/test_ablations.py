"""The ablations' numbers, table, figure and reading, from rows whose results are known."""

from __future__ import annotations

import pandas as pd
import pytest

from yapo.reporting.tables import TableOptions
from yapo.studies.ablations.figure import ablations_figure
from yapo.studies.ablations.finding import ablations_finding, ablations_reading
from yapo.studies.ablations.table import ablation_cells, ablation_table

OPTIONS = TableOptions(resamples=200, note="a note")
# Facts answered right of four, forwards and backwards; distance of the vector from the default one.
RIGHT = {"default": (3, 0, 0.0), "worse": (0, 0, 0.8), "one_way": (3, 4, 0.5), "same": (3, 0, 1e-6)}


def rows(task: str = "mcq", right: dict[str, tuple[int, int, float]] = RIGHT, facts: int = 4, unsteered: int = 1) -> pd.DataFrame:
    made = []
    for method in ("bipo", "yapo"):
        for country in ("egypt", "nepal"):
            for fact in range(facts):
                unit = 1.0 if task == "mcq" else 10.0
                place = {"task": task, "method": method, "country": country, "question_id": f"f{fact}", "parsed": True}
                made.append({**place, "change": "unsteered", "multiplier": 0.0, "score": unit * (fact < unsteered)})
                for change, (up, down, apart) in right.items():
                    if method == "bipo" and change == "same":
                        continue
                    for seed in (0, 1):
                        size = {"change": change, "seed": seed, "l0": 96, "difference": apart, "displacement": 5.0}
                        if method == "yapo":
                            size |= {"explained_variance": 0.9, "sae_l0": 30.0}
                        for multiplier, n in ((1.0, up), (-1.0, down)):
                            loss = 0.3 if change == "default" else 0.5
                            made.append({**place, **size, "multiplier": multiplier, "score": unit * (fact < n), "loss": loss})
    return pd.DataFrame(made)


def test_differences_from_the_default_over_the_same_facts() -> None:
    cells = ablation_cells(rows(), OPTIONS).set_index(["method", "change", "measure"])
    worse = cells.loc[("yapo", "worse", "score")]
    assert worse[["value", "change_value"]].tolist() == [0.0, -75.0]
    assert worse["change_high"] < 0
    assert worse[["n", "n_facts", "seeds"]].tolist() == [16, 4, 2]
    assert cells.loc[("yapo", "one_way", "score_reversed"), ["value", "change_value"]].tolist() == [100.0, 100.0]
    same = cells.loc[("yapo", "same", "score")]
    assert same[["change_value", "change_low", "change_high"]].tolist() == [0.0, 0.0, 0.0]
    assert cells.loc[("bipo", "worse", "loss"), "change_value"] == pytest.approx(0.2)
    assert cells.loc[("yapo", "unsteered", "score"), "value"] == 25.0
    assert ("yapo", "unsteered", "loss") not in cells.index


def test_the_table_has_every_variant_of_every_method() -> None:
    text = ablation_table(rows(), {"worse": "train.beta=9"}, "nonlocalized", OPTIONS).texts["md"]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    names = [line.split("|")[2].strip() for line in lines[2:]]
    assert names == ["Unsteered", "Default", "Worse", "One way", "Unsteered", "Default", "Worse", "One way", "Same"]
    same = lines[-1]
    assert same.startswith("|  | Same | 75.0 [")
    assert "| +0.0 [+0.0, +0.0] |" in same
    assert "| 1e-06 | 0.900, L0 30.0 | 16 (4 facts) |" in same
    assert "Worse: train.beta=9" in text
    assert ablation_table(rows("open_ended"), {}, "both", OPTIONS).texts["md"].count("7.50") > 0


def test_the_reading_follows_the_numbers() -> None:
    reading = ablations_reading(ablation_cells(rows(), OPTIONS))
    assert "Each variant with 2 seeds" in reading
    assert "YaPO, multiple choice: unsteered 25.0, λ = 1 75.0, λ = −1 0.0" in reading
    assert "Score at λ = 1: worse (−75.0) lowers it." in reading
    assert "Score at λ = −1: one way (+100.0) raises it." in reading
    assert reading.count("The same vector up to rounding: same (difference 1e-06 of its norm).") == 1
    both_ways = ablations_reading(ablation_cells(rows("mcq", {"default": (12, 0, 0.0)}, 12, 6), OPTIONS))
    assert "unsteered 50.0, λ = 1 100.0, λ = −1 0.0: it works both ways" in both_ways
    weak = ablations_reading(ablation_cells(rows("mcq", {"default": (7, 0, 0.0)}, 12, 6), OPTIONS))
    # Many resamples hold nothing of the one fact gained.
    assert "forwards it makes no difference that can be told from 0 (+8.3 [+0.0, +" in weak
    assert "backwards it lowers it (−50.0 [−" in weak
    one_way = {"default": (4, 4, 0.0)}
    reading = ablations_reading(ablation_cells(rows(right=one_way), OPTIONS))
    assert "forwards it raises the score (+75.0 [" in reading
    assert "backwards it raises the score (+75.0 [" in reading
    assert "no effect of a change can be told from 0" in reading
    same = {"default": (3, 0, 0.0), "same": (3, 0, 1e-6)}
    assert "No effect on either score can be told from 0 with same." in ablations_reading(
        ablation_cells(rows(right=same), OPTIONS)
    )


def test_countries_count_once_whatever_the_number_of_questions() -> None:
    made = rows()
    more = made[made["country"] == "egypt"].assign(score=0.0, l0=200)
    both = pd.concat([made, *[more.assign(question_id=f"{place}" + more["question_id"]) for place in range(3)]])
    cells = ablation_cells(both, OPTIONS).set_index(["method", "change", "measure"])
    # Egypt: 3 of 16 facts, Nepal: 3 of 4.
    assert cells.loc[("yapo", "default", "score"), "value"] == pytest.approx(100 * (3 / 16 + 3 / 4) / 2)
    assert cells.loc[("yapo", "default", "score"), "l0"] == pytest.approx(((96 + 3 * 200) / 4 + 96) / 2)


def test_finding() -> None:
    finding = ablations_finding(ablation_cells(rows(), OPTIONS), ("ablations",))
    assert (finding.name, finding.tables, finding.figures) == ("ablations", ("ablations",), ("ablations",))


def test_a_dot_for_every_variant_that_a_method_has() -> None:
    figure = ablations_figure(ablation_cells(rows(), OPTIONS), "a note")
    score = figure.axes[0]
    assert [text.get_text() for text in score.get_yticklabels()] == ["Worse", "One way", "Same"]
    dots = [line for line in score.lines if line.get_linestyle() == "None"]
    assert sorted(float(line.get_xdata()[0]) for line in dots) == [-75.0, -75.0, 0.0, 0.0, 0.0]  # type: ignore[index]
