"""Convergence as curves: loss and score, over steps and over displacement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yapo.reporting import style
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS


@rc_context(style.STYLE)
def convergence_figure(rows: pd.DataFrame, runs: pd.DataFrame, window: int, note: str = "") -> Figure:
    """Return four panels per task and learning rate. Lines: mean; bands: lowest to highest seed, each a mean over countries.

    Args:
        rows: rows of the stage ``convergence``, of all countries and methods.
        runs: from ``smoothed``.
        window: steps that a training loss is a mean over.
        note: sentence printed under the figure.
    """
    lines = [(task, rate) for task in ordered("task", runs["task"]) for rate in sorted(runs["lr"].unique())]
    figure = style.new_figure(12.6, 2.7 * len(lines) + 1.3)
    grid = figure.subplots(len(lines), 4, squeeze=False)
    for (task, rate), panels in zip(lines, grid, strict=True):
        over_steps, over_displacement, *scores = panels
        of_line, all_rows = (frame[(frame["task"] == task) & (frame["lr"] == rate)] for frame in (runs, rows))
        for method in ordered("method", of_line["method"]):
            mine = all_rows[all_rows["method"] == method]
            _losses(over_steps, over_displacement, of_line[of_line["method"] == method], mine[mine["kind"] == "epoch"], method)
            _scores(scores, mine[mine["kind"] == "answer"], method, 100.0 if task == "mcq" else 1.0)
        name = f"{label('task', task)}, learning rate {rate:g}"
        over_steps.set_title(name)
        for axes in (over_steps, over_displacement):
            axes.axhline(math.log(2), color=style.SOFT, linewidth=0.8, linestyle=":")
            axes.set_ylim(bottom=0)
        over_steps.set_ylabel("Loss")
        for axes in scores:  # after all methods: a limit that is set stays
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
        scores[0].set_ylabel(style.score_name(task).capitalize())
        style.share_y([over_steps, over_displacement])
        style.share_y(scores)
        if (task, rate) == lines[-1]:
            for axes, over in zip(panels, ("Training step", "Displacement") * 2, strict=True):
                axes.set_xlabel(over)
    handles = [style.method_handle(method, marker="") for method in ordered("method", runs["method"])]
    handles += [
        style.handle("training"),
        style.handle("validation", **_DOTS),
        style.handle("ln 2: nothing learnt", color=style.SOFT, linestyle=":", linewidth=0.8),
        style.handle("unsteered, validation", color=style.colour("baseline"), linestyle="--"),
    ]
    style.legend_below(figure, handles, width=1.6)
    seeds = rows["seed"].nunique()
    bands = f"Lines: mean; bands: lowest to highest of {seeds} seeds. Training loss: mean over {window} steps, on minibatches."
    moved = (
        f"Displacement of the residual stream: for training losses by d·v, d = 1 or {MINUS}1 as drawn, of the minibatches; for "
        "validation losses (d = 1) and scores (λ = 1) by v, of the validation pairs. Training scores: a sample of its questions."
    )
    style.frame_texts(figure, f"Convergence at equal learning rate, {style.scope(rows)}", bands, moved, note)
    return figure


def _losses(over_steps: Axes, over_displacement: Axes, runs: pd.DataFrame, epochs: pd.DataFrame, method: str) -> None:
    shortest = runs.groupby(["country", "seed"])["step"].max().min()  # up to where every run goes
    curves: list[tuple[pd.DataFrame, str, dict[str, Any]]] = [(runs, "loss", {}), (epochs, "validation_loss", _DOTS)]
    for frame, loss, look in curves:
        seeds = frame[frame["step"] <= shortest].groupby(["seed", "step"])[[loss, "displacement"]].mean()
        spread = seeds[loss].groupby("step").agg(["mean", "min", "max"])
        where = seeds["displacement"].groupby("step").mean()
        for axes, x in ((over_steps, spread.index), (over_displacement, where)):
            axes.plot(x, spread["mean"], color=style.colour(method), **look)
        over_steps.fill_between(spread.index, spread["min"], spread["max"], color=style.colour(method), alpha=0.15, linewidth=0)
        if not look:
            for _, seed in seeds.groupby("seed"):
                over_displacement.plot(seed["displacement"], seed[loss], color=style.colour(method), alpha=0.25, linewidth=0.7)


_DOTS: dict[str, Any] = {"linestyle": "--", "marker": "o", "markerfacecolor": "white", "markersize": 3, "linewidth": 1.0}


def _scores(panels: Sequence[Axes], answers: pd.DataFrame, method: str, scale: float) -> None:
    """Draw scores over steps and over displacement, from the unsteered model on."""
    if answers.empty:
        for axes in panels:
            style.blank(axes, "no answers")
        return
    looks: dict[str, dict[str, Any]] = {"train": {}, "validation": _DOTS}
    for split, look in looks.items():
        of_split = answers[answers["split"] == split]
        if of_split.empty:
            continue
        steered = of_split[of_split["epoch"] > 0].groupby(["seed", "epoch", "country"])[["score", "step", "displacement"]].mean()
        seeds = steered.groupby(["seed", "epoch"]).mean()
        start = scale * of_split[of_split["epoch"] == 0].groupby("country")["score"].mean().mean()
        spread = scale * seeds["score"].groupby("epoch").agg(["mean", "min", "max"])
        spread.loc[0] = start
        spread = spread.sort_index()
        for axes, over in zip(panels, ("step", "displacement"), strict=True):
            x = [0.0, *seeds[over].groupby("epoch").mean()]
            axes.plot(x, spread["mean"], color=style.colour(method), **look)
            axes.fill_between(x, spread["min"], spread["max"], color=style.colour(method), alpha=0.12, linewidth=0)
            if split == "validation":
                axes.axhline(start, color=style.colour("baseline"), linestyle="--", linewidth=1.1)
