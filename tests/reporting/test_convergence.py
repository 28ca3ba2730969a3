"""Convergence from runs whose curves are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.reporting.tables import TableOptions
from yapo.studies.convergence.figure import convergence_figure
from yapo.studies.convergence.finding import convergence_finding, convergence_reading, displacement_gaps
from yapo.studies.convergence.table import RUN, convergence_cells, convergence_table, falls, reached, smoothed

OPTIONS = TableOptions(resamples=200, note="a note")
STEPS, EPOCHS = 800, 4
Curve = Callable[[int, int], tuple[float, float]]  # of step and seed: loss, displacement


def fast(step: int, seed: int) -> tuple[float, float]:
    """Falls to 0.05 within 140 steps, moving 30 by then."""
    return max(0.05, 0.7 - 0.65 * step / (140 - 10 * seed)), min(30.0, 30 * step / (140 - 10 * seed))


def slow(step: int, _seed: int) -> tuple[float, float]:
    """Falls to 0.35 in 800 steps; at equal displacement as far down as ``fast``."""
    return 0.7 - 0.35 * step / STEPS, 30 * (0.35 / 0.65) * step / STEPS


def rows(curves: dict[str, Curve], task: str = "open_ended", seeds: int = 2) -> pd.DataFrame:
    made = []
    for method, curve in curves.items():
        for country in ("egypt", "nepal"):
            for seed in range(seeds):
                place = {"country": country, "task": task, "method": method, "lr": 0.01, "seed": seed}
                for step in range(1, STEPS + 1):
                    loss, moved = curve(step, seed)
                    made.append({**place, "kind": "step", "step": step, "loss": loss, "displacement": moved})
                for epoch in range(EPOCHS + 1):
                    step = epoch * STEPS // EPOCHS
                    loss, moved = curve(step, seed)
                    losses = {"validation_loss": loss + 0.1, "validation_loss_reversed": loss + 0.2}
                    if epoch:
                        made.append({**place, "kind": "epoch", "epoch": epoch, "step": step, "displacement": moved, **losses})
                    if epoch == 0 and seed:
                        continue  # the unsteered model answers once
                    at = {"kind": "answer", "epoch": epoch, "step": step, "displacement": moved if epoch else 0.0}
                    if epoch == 0:
                        at["seed"] = np.nan
                    for fact in range(4):  # the right answers come and go again, those to training questions stay
                        asked = {"question_id": f"f{fact}", "score": float(fact < (1, 2, 4, 2, 0)[epoch])}
                        made.append({**place, **at, "split": "validation", **asked})
                        asked = {"question_id": f"t{fact}", "score": float(fact < (1, 2, 4, 4, 4)[epoch])}
                        made.append({**place, **at, "split": "train", **asked})
    return pd.DataFrame(made)


BOTH: dict[str, Curve] = {"bipo": slow, "yapo": fast}


def test_training_losses_are_means_over_the_steps_that_end_there() -> None:
    runs = smoothed(rows({"yapo": lambda step, _seed: (float(step), 2.0 * step)}, seeds=1), 4)
    own = runs[runs["country"] == "egypt"]
    assert own["step"].tolist() == list(range(4, STEPS + 1))
    np.testing.assert_allclose(own["loss"], own["step"] - 1.5)
    np.testing.assert_allclose(own["displacement"], 2 * own["step"] - 3)
    with pytest.raises(YapoError, match=r"studies.convergence.window=801: no training took so many steps"):
        smoothed(rows(BOTH), 801)


def test_steps_and_displacement_where_a_loss_is_first_reached() -> None:
    runs = smoothed(rows(BOTH), 1)
    first = reached(runs, 0.5).reset_index()
    assert set(map(tuple, first[RUN].to_numpy())) == set(map(tuple, runs[RUN].drop_duplicates().to_numpy()))
    yapo = first[first["method"] == "yapo"]
    assert yapo[yapo["seed"] == 0]["step"].unique().tolist() == [44]  # 0.65 * 44 / 140 > 0.2
    assert yapo[yapo["seed"] == 1]["step"].unique().tolist() == [40]
    assert yapo["displacement"].round(2).unique().tolist() == [9.43, 9.23]
    assert reached(runs, 0.1).reset_index().groupby("method")["step"].count().to_dict() == {"bipo": 0, "yapo": 4}


def test_cells_have_mean_lowest_and_highest_run() -> None:
    cells = convergence_cells(rows(BOTH), [0.5, 0.1], 1, OPTIONS).set_index(["method", "measure"])
    steps = cells.loc[("yapo", "steps_to_0.5")]
    assert steps[["value", "low", "high", "n", "of"]].tolist() == [42.0, 40.0, 44.0, 4, 4]
    never = cells.loc[("bipo", "steps_to_0.1")]
    assert (never["n"], never["of"]) == (0, 4)
    assert np.isnan(never["value"])
    assert cells.loc[("bipo", "validation_loss"), "value"] == pytest.approx(0.45)
    assert cells.loc[("bipo", "validation_loss_reversed"), "value"] == pytest.approx(0.55)
    scores = cells.loc["yapo"].loc["score"]
    assert scores["at"].tolist() == [0, 1, 2, 3, 4]
    assert scores["value"].tolist() == [0.25, 0.5, 1.0, 0.5, 0.0]
    assert scores[["n", "of"]].to_numpy().tolist() == [[8, 4], *[[16, 4]] * 4]  # the unsteered model has no seeds
    assert cells.loc["yapo"].loc["training_score", "value"].tolist() == [0.25, 0.5, 1.0, 1.0, 1.0]


def test_countries_count_once_whatever_the_number_of_questions() -> None:
    made = rows({"yapo": fast})
    more = made[(made["country"] == "egypt") & (made["split"] == "validation")].assign(score=0.0)
    made = pd.concat([made, *[more.assign(question_id=f"{i}" + more["question_id"]) for i in range(3)]])
    cells = convergence_cells(made, [0.5], 1, OPTIONS).set_index(["measure", "at"])
    assert cells.loc[("score", 2), "value"] == pytest.approx((0.25 + 1.0) / 2)  # Egypt: 4 of 16 questions; Nepal: 4 of 4
    drawn = convergence_figure(made, 1).axes[2].lines[1]
    assert np.asarray(drawn.get_ydata())[2] == pytest.approx((0.25 + 1.0) / 2)


def test_the_table_says_what_is_not_reached() -> None:
    text = convergence_table(rows(BOTH), [0.5, 0.1], 1, "nonlocalized", OPTIONS).texts["md"]
    lines = {line.split("|")[2].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert "| 42 [40, 44] | 9.3 [9.2, 9.4] |" in lines["YaPO"]
    assert lines["BiPO"].count("not reached") == 2
    assert (
        "1.00 (epoch 2) [1.00, 1.00] | 0.00 [0.00, 6.02] | 1.00 [1.00, 1.00] | 4 runs, 16 answers (4 facts); training 16 (4)"
        in lines["YaPO"]
    )
    some = rows({"yapo": lambda step, seed: fast(step, 0) if seed else slow(step, 0)})
    text = convergence_table(some, [0.1], 1, "nonlocalized", OPTIONS).texts["md"]
    assert "| 130 (2 of 4 runs) [130, 130] |" in text


def test_percent_for_multiple_choice() -> None:
    cells = convergence_cells(rows(BOTH, task="mcq"), [0.5], 1, OPTIONS)
    assert cells.loc[cells["measure"] == "score", "value"].max() == 100.0


def test_equal_at_equal_displacement() -> None:
    """Both curves fall by 0.65 while they move by 30; where each first gets somewhere is off by one step at most."""
    gaps = displacement_gaps(smoothed(rows(BOTH), 1))
    assert len(gaps) == 4
    assert gaps["gap"].abs().max() < 0.01
    assert gaps["reach"].unique() == pytest.approx([30 * 0.35 / 0.65])
    lower = {**BOTH, "yapo": lambda step, seed: (fast(step, seed)[0] - 0.2, fast(step, seed)[1])}
    assert displacement_gaps(smoothed(rows(lower), 1))["gap"].mean() == pytest.approx(-0.2, abs=0.01)


def steady(loss: float) -> Curve:
    return lambda step, _seed: (loss, step / 100)


@pytest.mark.parametrize(
    ("curves", "verdict"),
    [
        ({"bipo": steady(0.36), "yapo": fast}, "at 0.01 it holds (YaPO 0.05; BiPO 0.36)"),
        ({"bipo": steady(0.69), "yapo": fast}, "at 0.01 it does not hold (YaPO 0.05; BiPO 0.69, more than claimed)"),
        ({"bipo": fast, "yapo": slow}, "at 0.01 it does not hold (YaPO 0.63; BiPO 0.05, less than claimed)"),
    ],
)
def test_the_reading_judges_the_paper_s_claim(curves: dict[str, Curve], verdict: str) -> None:
    reading = convergence_reading(rows(curves), [0.5], 1, OPTIONS)
    assert verdict in reading
    ahead = 0 if curves["yapo"] is slow else 4
    assert f"At the last step that both take, YaPO's loss is lower in {ahead} of 4 runs at 0.01." in reading
    assert "after 150 steps BiPO" in reading
    assert "after 640 steps BiPO" in reading


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        (60, "cannot be judged (step 150 was not reached by every run of YaPO; step 640 was not reached by every run of BiPO)"),
        (300, "cannot be judged (YaPO 0.05; step 640 was not reached by every run of BiPO)"),
    ],
)
def test_a_step_that_was_not_reached_is_said_to_be_so(steps: int, verdict: str) -> None:
    made = rows({"bipo": steady(0.34), "yapo": fast})
    reading = convergence_reading(made[~((made["kind"] == "step") & (made["step"] > steps))], [0.5], 1, OPTIONS)
    assert verdict in reading
    assert f"at the end of training, step {steps} BiPO 0.34" in reading
    assert "after 640 steps BiPO" not in reading


def test_runs_that_end_early_count_at_their_own_last_step() -> None:
    """Nepal ends at step 600, where YaPO is behind; Egypt goes on to 800, where it is ahead."""
    made = rows({"bipo": steady(0.34), "yapo": fast})
    behind = made["country"].eq("nepal") & made["method"].eq("yapo") & made["loss"].notna()
    made.loc[behind, "loss"] = 0.5
    gone = (made["country"] == "nepal") & (made["kind"] == "step") & (made["step"] > 600)
    reading = convergence_reading(made[~gone], [0.5], 1, OPTIONS)
    assert "YaPO's loss is lower in 2 of 4 runs at 0.01" in reading
    where = "after 640 steps, or where a run ends before (from step 600 on) BiPO 0.34 [0.34, 0.34], moved by 6.2; YaPO 0.28 [0.05"
    assert where in reading


def scored(best: int, end: int, facts: int = 20, *, other: bool = False) -> pd.DataFrame:
    """Facts answered right after two epochs; ``other``: those of the second are not among those of the first."""
    made = rows({"yapo": fast}, seeds=1)
    place = {"country": "egypt", "task": "mcq", "method": "yapo", "lr": 0.01, "kind": "answer", "split": "validation"}
    right = {0: set[int](), 2: set(range(best)), 4: set(range(facts - end, facts)) if other else set(range(end))}
    answers = [
        {**place, "seed": 0 if epoch else np.nan, "epoch": epoch, "step": 200 * epoch, "displacement": 1.0,
         "question_id": f"f{fact}", "score": float(fact in chosen)}
        for epoch, chosen in right.items()
        for fact in range(facts)
    ]  # fmt: skip
    kept = made[(made["country"] == "egypt") & (made["kind"] != "answer")].assign(task="mcq")
    return pd.concat([kept, pd.DataFrame(answers)], ignore_index=True)


def test_a_fall_is_judged_by_its_own_interval() -> None:
    """From 80 to 55%: the two intervals overlap, and that of their difference does not reach 0."""
    made = scored(16, 11)
    cells = convergence_cells(made, [0.5], 1, OPTIONS).query("measure == 'score'").set_index("at")
    assert cells.loc[4, "high"] > cells.loc[2, "low"]
    fall = falls(made, OPTIONS).iloc[0]
    assert fall[["best", "value"]].tolist() == [2, pytest.approx(-25.0)]
    assert fall["low"] < fall["value"] < fall["high"] < 0
    reading = convergence_reading(made, [0.5], 1, OPTIONS)
    assert "The end lies below the best epoch, on the same facts, with YaPO at 0.01 (−25.0 [" in reading
    # One fact less of 20 may be chance; so may five less where others came to be right.
    for unsure in (scored(12, 11), scored(12, 10, other=True)):
        assert falls(unsure, OPTIONS).iloc[0]["high"] >= 0
        reading = convergence_reading(unsure, [0.5], 1, OPTIONS)
        assert "No fall from the best epoch to the end can be told from 0." in reading


def test_the_reading_says_who_is_ahead_at_equal_displacement() -> None:
    lower = {**BOTH, "yapo": lambda step, seed: (fast(step, seed)[0] - 0.2, fast(step, seed)[1])}
    assert "YaPO's loss is lower in every run, by 0." in convergence_reading(rows(lower), [0.5], 1, OPTIONS)
    higher = {**BOTH, "yapo": lambda step, seed: (fast(step, seed)[0] + 0.2, fast(step, seed)[1])}
    assert "BiPO's loss is lower in every run, by 0." in convergence_reading(rows(higher), [0.5], 1, OPTIONS)
    mixed = {**BOTH, "yapo": lambda step, seed: (fast(step, seed)[0] + (0.2 if seed else -0.2), fast(step, seed)[1])}
    assert "neither is lower in every run" in convergence_reading(rows(mixed), [0.5], 1, OPTIONS)


def test_one_method_makes_no_claim() -> None:
    finding = convergence_finding(rows({"yapo": fast}), [0.5], 1, OPTIONS, ("convergence",))
    assert "claim" not in finding.reading
    assert (finding.name, finding.tables, finding.figures) == ("convergence", ("convergence",), ("convergence",))


def test_four_panels_for_each_task_and_learning_rate() -> None:
    two = pd.concat([rows(BOTH), rows(BOTH).assign(lr=0.02), rows(BOTH, task="mcq")])
    figure = convergence_figure(two[~((two["task"] == "mcq") & (two["lr"] == 0.02))], 1, "a note")
    assert len(figure.axes) == 4 * 4
    over_steps, over_displacement, scores, by_displacement = figure.axes[:4]
    assert over_steps.get_title(loc="left") == "Multiple choice, learning rate 0.01"
    training = over_displacement.lines[0]  # BiPO's, at its displacement
    assert float(np.max(np.asarray(training.get_xdata()))) == pytest.approx(30 * 0.35 / 0.65)
    training, validation, unsteered = (np.asarray(line.get_ydata()).tolist() for line in scores.lines[:3])
    assert training == [25.0, 50.0, 100.0, 100.0, 100.0]
    assert validation == [25.0, 50.0, 100.0, 50.0, 0.0]
    assert unsteered == [25.0, 25.0]
    assert np.asarray(scores.lines[0].get_xdata()).tolist() == [0, 200, 400, 600, 800]
    reach = 30 * 0.35 / 0.65
    np.testing.assert_allclose(np.asarray(by_displacement.lines[1].get_xdata()), np.linspace(0, reach, 5))
    assert np.asarray(by_displacement.lines[1].get_ydata()).tolist() == validation
    assert by_displacement.get_xlim()[1] >= 30.0  # YaPO's, which is drawn last
    assert [axes.get_xlabel() for axes in figure.axes[-4:]] == ["Training step", "Displacement"] * 2
