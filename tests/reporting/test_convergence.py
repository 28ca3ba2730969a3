"""Convergence from runs whose curves are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.reporting.convergence import RUN, convergence_cells, convergence_table, reached, smoothed
from yapo.reporting.convergence_figure import convergence_figure
from yapo.reporting.convergence_reading import convergence_finding, convergence_reading, displacement_gaps
from yapo.reporting.tables import TableOptions

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
                    for fact in range(4):  # the right answers come and go again
                        right = {"score": float(fact < (1, 2, 4, 2, 0)[epoch]), "question_id": f"f{fact}"}
                        made.append({**place, "kind": "answer", "epoch": epoch, "step": step, **right})
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
    assert scores[["n", "of"]].to_numpy().tolist() == [[16, 4]] * 5


def test_the_table_says_what_is_not_reached() -> None:
    text = convergence_table(rows(BOTH), [0.5, 0.1], 1, "nonlocalized", OPTIONS).texts["md"]
    lines = {line.split("|")[2].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert "| 42 [40, 44] | 9.3 [9.2, 9.4] |" in lines["YaPO"]
    assert lines["BiPO"].count("not reached") == 2
    assert "1.00 (epoch 2) [1.00, 1.00] | 0.00 [0.00, 0.00] | 4 runs, 16 answers (4 facts)" in lines["YaPO"]
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


@pytest.mark.parametrize(
    ("curves", "verdict"),
    [
        (BOTH, "holds here at learning rate 0.01 (0.05 and 0.42 at 0.01). At equal step, YaPO ends lower in every run at 0.01."),
        (
            {"bipo": fast, "yapo": slow},
            "does not hold here at any learning rate (0.63 and 0.05 at 0.01). "
            "At equal step, YaPO ends lower in every run at none of them.",
        ),
    ],
)
def test_the_reading_judges_the_paper_s_claim(curves: dict[str, Curve], verdict: str) -> None:
    reading = convergence_reading(rows(curves), [0.5], 1, OPTIONS)
    assert verdict in reading
    assert "after 150 steps BiPO" in reading
    assert "In 2 of 2 trainings the score ends below its best, intervals apart." in reading


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


def test_three_panels_for_each_task_and_learning_rate() -> None:
    two = pd.concat([rows(BOTH), rows(BOTH).assign(lr=0.02), rows(BOTH, task="mcq")])
    figure = convergence_figure(two[~((two["task"] == "mcq") & (two["lr"] == 0.02))], 1, "a note")
    assert len(figure.axes) == 3 * 4
    over_steps, over_displacement, scores = figure.axes[:3]
    assert over_steps.get_title(loc="left") == "Multiple choice, learning rate 0.01"
    training = over_displacement.lines[0]  # BiPO's, at its displacement
    assert float(np.max(np.asarray(training.get_xdata()))) == pytest.approx(30 * 0.35 / 0.65)
    assert list(np.asarray(scores.lines[0].get_ydata())) == [50.0, 100.0, 50.0, 0.0]
