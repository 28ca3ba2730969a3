"""Convergence: numbers, table and figure from known runs, and the study of a few facts on the embedded model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.studies.one_country import reported, same_again
from yapo.config.compose import compose
from yapo.errors import YapoError
from yapo.paths import Paths
from yapo.reporting.finding import render_blocks
from yapo.reporting.tables import Table, TableOptions
from yapo.studies.convergence import report, run
from yapo.studies.convergence.figure import convergence_figure
from yapo.studies.convergence.report import (
    RUN,
    convergence_cells,
    convergence_table,
    displacement_gaps,
    falls,
    finding_values,
    reached,
    smoothed,
)
from yapo.studies.trainings import TrainingSetup
from yapo.studies.write_report import read_rows

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


def cells_of(made: pd.DataFrame, *losses: float) -> pd.DataFrame:
    return convergence_cells(made, smoothed(made, 1), losses or [0.5], OPTIONS)


def table(made: pd.DataFrame, *losses: float) -> Table:
    return convergence_table(made, cells_of(made, *losses), losses, 1, "nonlocalized", OPTIONS)


def reading(made: pd.DataFrame) -> str:
    values = finding_values(made, smoothed(made, 1), cells_of(made), OPTIONS)
    return render_blocks(report.FINDING, **values, window=1)["reading"]


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
    cells = cells_of(rows(BOTH), 0.5, 0.1).set_index(["method", "measure"])
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
    cells = cells_of(made).set_index(["measure", "at"])
    assert cells.loc[("score", 2), "value"] == pytest.approx((0.25 + 1.0) / 2)  # Egypt: 4 of 16 questions; Nepal: 4 of 4
    drawn = convergence_figure(made, smoothed(made, 1), 1).axes[2].lines[1]
    assert np.asarray(drawn.get_ydata())[2] == pytest.approx((0.25 + 1.0) / 2)


def test_the_table_says_what_is_not_reached() -> None:
    text = table(rows(BOTH), 0.5, 0.1).texts["md"]
    lines = {line.split("|")[2].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert "| 42 [40, 44] | 9.3 [9.2, 9.4] |" in lines["YaPO"]
    assert lines["BiPO"].count("not reached") == 2
    assert (
        "1.00 (epoch 2) [1.00, 1.00] | 0.00 [0.00, 6.02] | 1.00 [1.00, 1.00] | 4 runs, 16 answers (4 facts); training 16 (4)"
        in lines["YaPO"]
    )
    some = rows({"yapo": lambda step, seed: fast(step, 0) if seed else slow(step, 0)})
    text = table(some, 0.1).texts["md"]
    assert "| 130 (2 of 4 runs) [130, 130] |" in text


def test_percent_for_multiple_choice() -> None:
    cells = cells_of(rows(BOTH, task="mcq"))
    assert cells.loc[cells["measure"] == "score", "value"].max() == 100.0


def test_equal_at_equal_displacement() -> None:
    """Both curves fall by 0.65 while they move by 30; where each first gets somewhere is off by one step at most."""
    gaps = displacement_gaps(smoothed(rows(BOTH), 1), "bipo", "yapo")
    assert len(gaps) == 4
    assert gaps["gap"].abs().max() < 0.01
    assert gaps["reach"].unique() == pytest.approx([30 * 0.35 / 0.65])
    lower = {**BOTH, "yapo": lambda step, seed: (fast(step, seed)[0] - 0.2, fast(step, seed)[1])}
    assert displacement_gaps(smoothed(rows(lower), 1), "bipo", "yapo")["gap"].mean() == pytest.approx(-0.2, abs=0.01)


def steady(loss: float) -> Curve:
    return lambda step, _seed: (loss, step / 100)


def test_the_finding_gives_losses_after_steps_and_at_equal_displacement() -> None:
    lower = {**BOTH, "yapo": lambda step, seed: (fast(step, seed)[0] - 0.2, fast(step, seed)[1])}
    text = reading(rows(lower))
    assert (
        "Learning rate 0.01: after 150 steps BiPO 0.63 [0.63, 0.63], moved by 3.0, YaPO −0.15 [−0.15, −0.15], moved by 30.0;"
        in text
    )
    assert "; after 640 steps BiPO" in text
    assert (
        "Loss of YaPO minus that of BiPO at equal displacement, over the displacements that both reach (up to 16.2): −0.20"
        in text
    )
    assert "Loss of" not in reading(rows({"yapo": fast}))


def test_runs_that_end_early_count_at_their_own_last_step() -> None:
    made = rows({"bipo": steady(0.34), "yapo": fast})
    steps = made["kind"] == "step"
    short = reading(made[~(steps & (made["step"] > 60))])
    assert "after 60 steps BiPO 0.34" in short
    assert "640" not in short.partition("\n")[2]
    gone = steps & (made["country"] == "nepal") & (made["step"] > 600)
    assert "after 600 to 640 steps BiPO 0.34 [0.34, 0.34], moved by 6.2, YaPO 0.05" in reading(made[~gone])


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
    cells = cells_of(made).query("measure == 'score'").set_index("at")
    assert cells.loc[4, "high"] > cells.loc[2, "low"]
    fall = falls(made, OPTIONS).iloc[0]
    assert fall[["best", "value"]].tolist() == [2, pytest.approx(-25.0)]
    assert fall["low"] < fall["value"] < fall["high"] < 0
    assert "YaPO at 0.01 best 80.0 (epoch 2), end 55.0, end minus best −25.0 [−" in reading(made)
    # One fact less of 20 may be chance; so may five less where others came to be right.
    for unsure in (scored(12, 11), scored(12, 10, other=True)):
        assert falls(unsure, OPTIONS).iloc[0]["high"] >= 0


def test_four_panels_for_each_task_and_learning_rate() -> None:
    two = pd.concat([rows(BOTH), rows(BOTH).assign(lr=0.02), rows(BOTH, task="mcq")])
    two = two[~((two["task"] == "mcq") & (two["lr"] == 0.02))]
    figure = convergence_figure(two, smoothed(two, 1), 1, "a note")
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


ITEMS = 4  # validation items: two facts, two phrasings


@pytest.fixture(scope="module")
def overrides(training_overrides: list[str]) -> list[str]:
    own = ["countries=[egypt]", "seeds=[0,1]", "learning_rates=[0.01,0.02]", "window=2", "epochs=3", "answered_epochs=2"]
    return [*training_overrides, *(f"studies.convergence.{setting}" for setting in (*own, "train_facts=2"))]


@pytest.fixture(scope="module")
def curves(overrides: list[str]) -> pd.DataFrame:
    for method in ("bipo", "yapo"):
        run.main(compose([*overrides, f"method={method}"]))
    return read_rows(compose(overrides), "convergence")


def test_steps_epochs_and_answers_of_every_run(curves: pd.DataFrame) -> None:
    for _, own in curves.groupby(["method", "lr", "seed"]):
        steps = own[own["kind"] == "step"]
        assert steps["step"].tolist() == [1, 2, 3, 4, 5, 6]  # six pairs in batches of four, three epochs
        assert steps[["loss", "displacement", "d"]].notna().all(axis=None)
        epochs = own[own["kind"] == "epoch"]
        assert epochs["step"].tolist() == [2, 4, 6]
        assert epochs[["validation_loss", "validation_loss_reversed", "displacement", "l0"]].notna().all(axis=None)
        answers = own[own["kind"] == "answer"]
        sizes = {("train", 1, 2): 2, ("train", 3, 6): 2, ("validation", 1, 2): ITEMS, ("validation", 3, 6): ITEMS}
        assert answers.groupby(["split", "epoch", "step"]).size().to_dict() == sizes
        moved = epochs.set_index("epoch")["displacement"]  # an answer stands at the displacement of its epoch's vector
        assert (answers["displacement"] == answers["epoch"].map(moved)).all()
        assert (answers["displacement"] > 0).all()
    assert len(curves.groupby(["method", "lr", "seed"])) == 8


def test_the_unsteered_model_answers_once(curves: pd.DataFrame) -> None:
    """Not once per seed, which would count its answers several times."""
    start = curves[(curves["kind"] == "answer") & (curves["epoch"] == 0)]
    assert set(start.groupby(["method", "lr", "split"]).size().to_dict().values()) == {2, ITEMS}
    assert start["seed"].isna().all()
    assert (start["displacement"] == 0).all()


def test_training_questions_are_the_same_for_all_and_trained_on(curves: pd.DataFrame, overrides: list[str]) -> None:
    split = pd.read_parquet(Paths.of(compose(overrides)).split).set_index("question_id")["split"]
    answers = curves[(curves["kind"] == "answer") & (curves["split"] == "train")]
    assert set(answers["question_id"].map(split)) == {"train"}
    asked = answers.groupby(["method", "lr", "epoch", "seed"], dropna=False)[["question_id", "phrasing"]].apply(
        lambda run: tuple(sorted(run.itertuples(index=False, name=None)))
    )
    assert asked.nunique() == 1
    assert answers["question_id"].nunique() == 2


@pytest.mark.usefixtures("curves")
def test_training_questions_can_be_left_out(overrides: list[str]) -> None:
    path = Paths.of(compose(overrides)).study_rows("convergence_yapo", "arabic", "egypt")
    kept = path.read_bytes()
    run.main(compose([*overrides, "method=yapo", "studies.convergence.train_facts=0"]))
    rows = pd.read_parquet(path)
    assert set(rows.loc[rows["kind"] == "answer", "split"]) == {"validation"}
    path.write_bytes(kept)


def test_seeds_are_paired_over_methods_and_rates(curves: pd.DataFrame) -> None:
    """The same seed gives the same directions, so that runs differ in the method or the rate alone."""
    steps = curves[curves["kind"] == "step"]
    by_seed = steps.groupby(["seed", "step"])["d"]
    assert (by_seed.nunique() == 1).all()
    first = steps[steps["step"] == 1]
    assert first.groupby(["method", "seed"])["loss"].nunique().max() == 1  # at step 1 every vector is zero


@pytest.mark.usefixtures("curves")
def test_a_rerun_writes_the_same_bytes(overrides: list[str]) -> None:
    path = Paths.of(compose(overrides)).study_rows("convergence_yapo", "arabic", "egypt")
    same_again(run.main, compose([*overrides, "method=yapo"]), path)
    assert not list(path.parent.glob("*.checkpoint.safetensors"))


@pytest.mark.usefixtures("curves")
def test_convergence_table_figure_and_finding(overrides: list[str]) -> None:
    assert reported(report.main, compose(overrides), "convergence").figures == ("convergence",)


def test_a_method_without_steps_is_refused(overrides: list[str]) -> None:
    with pytest.raises(YapoError, match="method=caa: is not trained in steps"):
        run.main(compose([*overrides, "method=caa"]))


def test_pairs_of_another_preparation_are_refused(overrides: list[str]) -> None:
    config = compose([*overrides, "method=bipo"])
    setup = TrainingSetup.of_method(config, "convergence_bipo")
    path = Paths.of(config).pairs("arabic", "egypt", "open_ended")
    kept = path.read_bytes()
    pd.read_parquet(path).assign(phrasing=9).to_parquet(path)
    with pytest.raises(YapoError, match="not the pairs whose activations were kept; run the stage prepare again"):
        setup.training("open_ended", "nonlocalized")
    path.write_bytes(kept)
