"""Figures of training: loss and validation over steps (the paper's Figure 2), validation over epochs (Figure 5)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from yapo.checks import Setting, Task
from yapo.errors import YapoError
from yapo.reporting import style
from yapo.reporting.names import label, ordered

Floats = NDArray[np.float64]

_CURVES = ["country", "method", "kind", "task", "setting", "step", "epoch", "loss", "displacement", "validation_loss"]
_CELL = ["country", "task", "setting", "method"]
_X = {"step": "Training step", "displacement": "Mean change of the residual stream (norm)"}


@rc_context(style.STYLE)
def training_curves(
    curves: pd.DataFrame, validation: pd.DataFrame, x: Literal["step", "displacement"] = "step", note: str = ""
) -> Figure:
    """Draw the loss of the trained methods with validation score and parse failures beneath, one block per task and setting.

    With one country the raw loss is light and its moving average bold. With several, each country's average is light and
    their mean bold, up to where the shortest run ends.

    Args:
        curves: rows of ``curves.jsonl`` with ``country`` and ``method`` added; methods without step rows are left out.
        validation: validation scores; those at multiplier 1 are shown, and the baseline's.
        x: ``step``, or ``displacement``: at equal learning rate a sparse vector moves the residual stream further per step
            than a dense one, so curves over steps alone compare step sizes too.
        note: sentence printed under the figure.

    A study whose methods are all in closed form has no curves; the figure then says so.
    """
    curves = curves.reindex(columns=_CURVES)  # before the first epoch ends there is no validation_loss
    steps = curves[curves["kind"] == "step"]
    if steps.empty:
        return style.empty_figure("Training curves", "No method of this study is trained in steps.", note)
    tasks, settings = ordered("task", steps["task"]), ordered("setting", steps["setting"])
    methods = ordered("method", steps["method"])
    figure = style.new_figure(3.4 * len(settings) + 0.4, 4.2 * len(tasks) + 1.0)
    grid = figure.subplots(3 * len(tasks), len(settings), squeeze=False, height_ratios=[3, 1.7, 1.0] * len(tasks))
    for row, task in enumerate(tasks):
        for column, setting in enumerate(settings):
            loss, score, failures = grid[3 * row : 3 * row + 3, column]
            score.sharex(loss)
            failures.sharex(loss)
            here = _at(curves, task, setting)
            for method in methods:
                _loss_lines(loss, here[here["method"] == method], method, x)
            _epoch_lines(score, failures, here, _at(validation, task, setting), methods, x)
            loss.axhline(math.log(2), color=style.SOFT, linewidth=0.8, linestyle=":")
            loss.set_ylim(bottom=0)
            loss.set_title(style.panel_title(task, setting))
            failures.set_xlabel(_X[x])
            for upper in (loss, score):
                upper.tick_params(labelbottom=False)
            if column == 0:
                loss.set_ylabel("Training loss")
                score.set_ylabel(style.score_name(task) + "\n(validation)")
                failures.set_ylabel("Parse\nfailures (%)")
        for strip in (0, 1, 2):
            style.share_y(list(grid[3 * row + strip]), at_least=5 if strip == 2 else 0)
    notes = [
        style.handle("validation loss", marker="o", markerfacecolor="white", linestyle=""),
        style.handle("ln 2: no preference learnt", color=style.SOFT, linestyle=":", linewidth=0.8),
    ]
    base = [style.method_handle("baseline", linestyle="--", marker="")] if (validation["method"] == "baseline").any() else []
    style.legend_below(figure, [*(style.method_handle(method) for method in methods), *base, *notes])
    style.frame_texts(figure, f"Training, {style.scope(steps)}", note)
    return figure


def _loss_lines(axes: Axes, rows: pd.DataFrame, method: str, x: str) -> None:
    tone = style.colour(method)
    runs = [run.sort_values("step").set_index("step", drop=False) for _, run in rows[rows["kind"] == "step"].groupby("country")]
    if runs:
        smooth = [run[["step", "displacement", "loss"]].rolling(max(3, len(run) // 15), 1, center=True).mean() for run in runs]
        for run in runs if len(runs) == 1 else smooth:
            axes.plot(run[x], run["loss"], color=tone, alpha=0.3, linewidth=0.8)
        shortest = min(run.index.max() for run in smooth)
        mean = pd.concat(smooth).groupby(level=0).mean().loc[:shortest]
        axes.plot(mean[x], mean["loss"], color=tone, zorder=3)
    ends = rows[(rows["kind"] == "epoch") & rows["validation_loss"].notna()].groupby("epoch")[["step", "validation_loss"]].mean()
    (dots,) = axes.plot(_places(rows, ends["step"], x), ends["validation_loss"], style.marker(method), color=tone, zorder=4)
    dots.set_markerfacecolor("white")


def _epoch_lines(score: Axes, failures: Axes, curves: pd.DataFrame, validation: pd.DataFrame, methods: list[str], x: str) -> None:
    ends = curves.loc[curves["kind"] == "epoch", ["country", "method", "epoch", "step"]]
    points = validation[validation["multiplier"] == 1].merge(ends, on=["country", "method", "epoch"])
    for method in methods:
        rows = points[points["method"] == method]
        mean = rows.groupby("epoch")[["step", "score", "parse_failure_rate"]].mean()
        places = _places(curves[curves["method"] == method], mean["step"], x)
        for axes, values in ((score, mean["score"] * _scale(rows)), (failures, 100 * mean["parse_failure_rate"])):
            axes.plot(places, values, color=style.colour(method), marker=style.marker(method), markersize=3.5)
    base = validation[validation["method"] == "baseline"]
    if len(base):
        score.axhline(base["score"].mean() * _scale(base), color=style.colour("baseline"), linestyle="--", linewidth=1.1)
        failures.axhline(100 * base["parse_failure_rate"].mean(), color=style.colour("baseline"), linestyle="--", linewidth=1.1)
    if points.empty:
        style.blank(score, "no validation scores")


@rc_context(style.STYLE)
def epoch_accuracy(validation: pd.DataFrame, note: str = "") -> Figure:
    """Draw the validation score over epochs, one column per language, one row per task and setting.

    Trained methods: mean over countries with a band from the lowest to the highest country. Methods with one epoch: dashed
    line. All at multiplier 1 where a method was scored there, so that no curve profits from a tuned multiplier.

    Args:
        validation: validation scores of several countries.
        note: sentence printed under the figure.
    """
    if validation.empty:
        raise YapoError("validation has no rows; run the validate stage for at least one country first")
    rows = _at_unit_multiplier(validation)
    epoch_counts = rows.groupby("method")["epoch"].nunique()
    methods = ordered("method", rows["method"])
    trained = [method for method in methods if epoch_counts[method] > 1]
    panels = [
        (task, setting)
        for task in ordered("task", rows["task"])
        for setting in ordered("setting", rows.loc[rows["task"] == task, "setting"])
    ]
    languages = ordered("language", rows["language"])
    figure = style.new_figure(2.3 * len(languages) + 0.9, 1.75 * len(panels) + 1.5)
    grid = figure.subplots(len(panels), len(languages), squeeze=False, sharex=True, sharey="row")
    for line, (task, setting) in enumerate(panels):
        for column, language in enumerate(languages):
            axes = grid[line, column]
            here = _at(rows[rows["language"] == language], task, setting)
            for method in methods:
                scores = here.loc[here["method"] == method].groupby("epoch")["score"].agg(["mean", "min", "max"]) * _scale(here)
                if method in trained:
                    axes.plot(scores.index, scores["mean"], color=style.colour(method), marker=style.marker(method), markersize=3)
                    axes.fill_between(
                        scores.index, scores["min"], scores["max"], color=style.colour(method), alpha=0.15, linewidth=0
                    )
                elif len(scores):
                    axes.axhline(scores["mean"].mean(), color=style.colour(method), linestyle="--", linewidth=1.1)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            if line == 0:
                axes.set_title(label("language", language))
            if line == len(panels) - 1:
                axes.set_xlabel("Epoch")
        name = f"{label('task', task)}\n{label('setting', setting).lower()}"
        grid[line, 0].set_ylabel(f"{name}\n{style.score_name(task)}", fontsize=7.5)
    handles = [style.method_handle(m) if m in trained else style.method_handle(m, linestyle="--", marker="") for m in methods]
    style.legend_below(figure, handles)
    style.frame_texts(figure, "Validation over epochs at λ = 1 (bands: lowest to highest country)", note)
    return figure


def _at(frame: pd.DataFrame, task: Task, setting: Setting) -> pd.DataFrame:
    return frame[(frame["task"] == task) & (frame["setting"] == setting)]


def _at_unit_multiplier(validation: pd.DataFrame) -> pd.DataFrame:
    """Return rows at multiplier 1; for a cell never scored there (baseline, prompt), the selected rows."""
    unit = validation["multiplier"] == 1
    has_unit = unit.groupby([validation[name] for name in _CELL]).transform("any")
    return validation[unit | (~has_unit & validation["selected"])]


def _places(rows: pd.DataFrame, steps: pd.Series, x: str) -> Floats:
    """Return the x values of training steps; of the displacement, its mean over countries."""
    if x == "step" or steps.empty:
        return steps.to_numpy(dtype=np.float64)
    mean = rows[rows["kind"] == "step"].groupby("step")["displacement"].mean()
    places: Floats = np.interp(
        steps.to_numpy(dtype=np.float64), mean.index.to_numpy(dtype=np.float64), mean.to_numpy(dtype=np.float64)
    )
    return places


def _scale(rows: pd.DataFrame) -> float:
    return 100.0 if (rows["task"] == "mcq").all() else 1.0
