"""The figure that a reader opens first: gain of every method at validation's λ and at equal divergence, and its disturbance."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from yapo.checks import ADAPTERS, Task
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import nats, short
from yapo.studies.equal_kl.cells import GAIN, UNSTEERED, first_setting
from yapo.studies.equal_kl.run import CHOSEN

_LEAST = 1e-4  # nats; what is less stands at the panel's left end


@rc_context(style.STYLE)
def overview(data: pd.DataFrame, level: float, costs: pd.DataFrame | None = None, note: str = "") -> Figure:
    """Return a line of panels for each task: gain at the chosen λ and at a level of divergence, divergence, cost.

    Shown are the vectors trained on non-localized questions, or else those of the first setting, on test questions of that form.

    Args:
        data: from ``gain_cells``.
        level: of the second panel, in nats.
        costs: from the study ``costs``: ``task, method, prepare_flops, fit_flops``; None leaves that panel out.
        note: sentence printed under the figure.
    """
    setting = first_setting(data)
    shown = data[(data["setting"] == setting) & (data["method"] != "baseline")]
    tasks, methods = ordered("task", shown["task"]), ordered("method", shown["method"])
    widths = [1.25, 1.25, 0.9] if costs is None else [1.25, 1.25, 0.9, 0.9]
    figure = style.new_figure(2.6 * sum(widths) + 1.0, (0.27 * len(methods) + 1.0) * len(tasks) + 1.1)
    grid = figure.subplots(len(tasks), len(widths), squeeze=False, sharey=True, width_ratios=widths)
    for panels, task in zip(grid, tasks, strict=True):
        of_task = shown[shown["task"] == task]
        chosen, equal = of_task[of_task["level"] == CHOSEN], of_task[of_task["level"] == level]
        _gains(panels[0], chosen, methods, task, f"{label('task', task)}: λ chosen on validation")
        unsteered = chosen[chosen["method"].isin(UNSTEERED)]
        _gains(panels[1], pd.concat([equal, unsteered]), methods, task, f"λ at equal divergence ({nats(level)})")
        _divergences(panels[2], chosen, methods, level)
        if costs is not None:
            _costs(panels[3], costs[costs["task"] == task], methods)
        low = min(axes.get_xlim()[0] for axes in panels[:2])
        high = max(axes.get_xlim()[1] for axes in panels[:2])
        for axes in panels[:2]:
            axes.set_xlim(low, high)
    texts = (
        "Gain over the unsteered model on test questions, with bootstrap intervals over facts. Divergence: 95th percentile of "
        "KL(steered ‖ unsteered) of the next token on validation answers, median over countries and range. Black: naming the "
        "country in the prompt; grey: a random direction."
        + ("" if costs is None else " Cost: of one vector, with the model's pass over its pairs.")
    )
    title = f"Gain and disturbance of all methods, {label('setting', setting).lower()} questions"
    style.frame_texts(figure, title, texts, note)
    return figure


def _gains(axes: Axes, rows: pd.DataFrame, methods: list[str], task: Task, title: str) -> None:
    """Draw the gain of each method, or say why there is none: it does not reach the level, or is an adapter."""
    at: dict[str, dict[str, Any]] = {record["method"]: record for record in records(rows)}
    axes.axvline(0, color=style.colour("baseline"), linewidth=0.9, linestyle=":", zorder=0)
    for line, method in enumerate(methods):
        record = at.get(method)
        if record is not None and not pd.isna(record["value"]):
            style.interval_dot(axes, record, line, method, names=GAIN, size=6)
        else:
            said = "not measured" if method in ADAPTERS else "not reached"
            axes.annotate(said, (0, line), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7, color=style.SOFT)
    style.name_lines(axes, [label("method", method) for method in methods])
    axes.margins(x=0.06)
    axes.set_title(title)
    axes.set_xlabel("Gain (points)" if task == "mcq" else "Gain (score 0 to 10)")


def _divergences(axes: Axes, rows: pd.DataFrame, methods: list[str], level: float) -> None:
    """Draw the divergence of each method at the chosen λ, on a logarithmic scale."""
    axes.set_xscale("log")
    axes.axvline(level, color=style.SOFT, linewidth=0.9, linestyle="--", zorder=0)
    names = ("divergence", "divergence_low", "divergence_high")
    for record in records(rows[rows["divergence"].notna()]):
        held = {name: max(record[name], _LEAST) for name in names}
        style.interval_dot(axes, held, methods.index(record["method"]), record["method"], names=names, size=6)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, _LEAST), max(high, 3 * level))
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.xaxis.set_minor_locator(NullLocator())
    style.name_lines(axes, [label("method", method) for method in methods])
    axes.set_title("Disturbance at that λ")
    axes.set_xlabel("KL, 95th percentile (nats)")


def _costs(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    """Draw what making one vector by each method costs, preparation included."""
    for record in records(rows):
        flops = record["prepare_flops"] + record["fit_flops"]
        if record["method"] in methods:
            at = {"value": flops / 1e9, "low": flops / 1e9, "high": flops / 1e9}
            style.interval_dot(axes, at, methods.index(record["method"]), record["method"], size=6)
    axes.set_xlim(0, 1.05 * axes.get_xlim()[1])
    style.name_lines(axes, [label("method", method) for method in methods])
    axes.set_title("Cost of a vector")
    axes.set_xlabel("GFLOP")
