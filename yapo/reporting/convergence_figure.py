"""Convergence as curves: loss over steps, loss over displacement, score over steps."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from yapo.reporting.convergence import smoothed
from yapo.reporting.names import label, ordered
from yapo.reporting.style import (
    STYLE,
    blank,
    colour,
    frame_texts,
    legend_below,
    marker,
    method_handle,
    new_figure,
    scope,
    score_name,
    share_y,
)


@rc_context(STYLE)
def convergence_figure(rows: pd.DataFrame, window: int, note: str = "") -> Figure:
    """Three panels per task and learning rate. Lines: mean; bands: lowest to highest seed, each a mean over countries.

    Args:
        rows: rows of the stage ``convergence``, of all countries and methods.
        window: steps that a training loss is a mean over.
        note: sentence printed under the figure.
    """
    runs = smoothed(rows, window)
    lines = [(task, rate) for task in ordered("task", runs["task"]) for rate in sorted(runs["lr"].unique())]
    figure = new_figure(10.4, 2.7 * len(lines) + 1.3)
    grid = figure.subplots(len(lines), 3, squeeze=False)
    for (task, rate), (over_steps, over_displacement, scores) in zip(lines, grid, strict=True):
        own, all_rows = (frame[(frame["task"] == task) & (frame["lr"] == rate)] for frame in (runs, rows))
        for method in ordered("method", own["method"]):
            mine = all_rows[all_rows["method"] == method]
            _losses(over_steps, over_displacement, own[own["method"] == method], mine[mine["kind"] == "epoch"], method)
            _scores(scores, mine[mine["kind"] == "answer"], method, 100.0 if task == "mcq" else 1.0)
        name = f"{label('task', task)}, learning rate {rate:g}"
        over_steps.set_title(name)
        for axes in (over_steps, over_displacement):
            axes.axhline(math.log(2), color="#5d6678", linewidth=0.8, linestyle=":")
            axes.set_ylim(bottom=0)
        over_steps.set_ylabel("Loss")
        scores.set_ylabel(f"{score_name(task).capitalize()}, validation")
        share_y([over_steps, over_displacement])
        if (task, rate) == lines[-1]:
            over_steps.set_xlabel("Training step")
            over_displacement.set_xlabel("Displacement of the residual stream")
            scores.set_xlabel("Training step")
    handles = [method_handle(method, marker="") for method in ordered("method", runs["method"])]
    handles += [
        Line2D([], [], color="#3b4252", label="training"),
        Line2D([], [], color="#3b4252", linestyle="--", marker="o", markerfacecolor="white", label="validation, d = 1"),
        Line2D([], [], color="#5d6678", linestyle=":", linewidth=0.8, label="ln 2: nothing learnt"),
        Line2D([], [], color=colour("baseline"), linestyle="--", label="unsteered"),
    ]
    legend_below(figure, handles, width=1.6)
    seeds = rows["seed"].nunique()
    bands = f"Lines: mean; bands: lowest to highest of {seeds} seeds. Training loss: mean over {window} steps."
    frame_texts(figure, f"Convergence at equal learning rate, {scope(rows)}", f"{bands} {note}".strip())
    return figure


def _losses(over_steps: Axes, over_displacement: Axes, runs: pd.DataFrame, epochs: pd.DataFrame, method: str) -> None:
    shortest = runs.groupby(["country", "seed"])["step"].max().min()  # up to where every run goes
    curves: list[tuple[pd.DataFrame, str, dict[str, Any]]] = [(runs, "loss", {}), (epochs, "validation_loss", _DOTS)]
    for frame, loss, look in curves:
        seeds = frame[frame["step"] <= shortest].groupby(["seed", "step"])[[loss, "displacement"]].mean()
        spread = seeds[loss].groupby("step").agg(["mean", "min", "max"])
        where = seeds["displacement"].groupby("step").mean()
        for axes, x in ((over_steps, spread.index), (over_displacement, where)):
            axes.plot(x, spread["mean"], color=colour(method), **look)
        over_steps.fill_between(spread.index, spread["min"], spread["max"], color=colour(method), alpha=0.15, linewidth=0)
        if not look:
            for _, seed in seeds.groupby("seed"):
                over_displacement.plot(seed["displacement"], seed[loss], color=colour(method), alpha=0.25, linewidth=0.7)


_DOTS: dict[str, Any] = {"linestyle": "--", "marker": "o", "markerfacecolor": "white", "markersize": 3, "linewidth": 1.0}


def _scores(axes: Axes, answers: pd.DataFrame, method: str, scale: float) -> None:
    if answers.empty:
        blank(axes, "no answers")
        return
    trained = answers[answers["epoch"] > 0]
    steps = trained.groupby("epoch")["step"].mean()
    seeds = scale * trained.groupby(["seed", "epoch"])["score"].mean()
    spread = seeds.groupby("epoch").agg(["mean", "min", "max"])
    axes.plot(steps, spread["mean"], color=colour(method), marker=marker(method), markersize=3.2)
    axes.fill_between(steps, spread["min"], spread["max"], color=colour(method), alpha=0.15, linewidth=0)
    axes.axhline(
        scale * answers.loc[answers["epoch"] == 0, "score"].mean(), color=colour("baseline"), linestyle="--", linewidth=1.1
    )
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
