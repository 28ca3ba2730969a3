"""DSPA with one thing changed at a time, as a figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import change, score_digits
from yapo.studies.dspa_study.table import BASELINE, CURVES, HEADINGS, OWN, PAIRS, STRENGTHS

_LINES = {"one": "-", "chosen": ":"}
_XLABELS = {PAIRS: "training pairs (N)", "alpha": "step (α)"}


@rc_context(style.STYLE)
def study_figure(cells: pd.DataFrame, note: str = "") -> Figure:
    """Draw a row of panels per task: score over N and over α, change by pair of layers, and by every other option.

    Args:
        cells: from ``with_own``.
        note: sentence printed under the figure.
    """
    tasks = ordered("task", cells["task"])
    figure = style.new_figure(13.0, 3.3 * len(tasks) + 1.0)
    grid = figure.subplots(len(tasks), 4, squeeze=False, width_ratios=[1, 1, 0.9, 1.25])
    for task, panels in zip(tasks, grid, strict=True):
        of_task = cells[cells["task"] == task]
        for option, axes in zip(CURVES, panels, strict=False):
            _curve(axes, of_task, option)
            axes.set_xlabel(_XLABELS[option])
        panels[0].set_ylabel(f"{style.score_name(task)}, validation")
        panels[0].set_title(label("task", task))
        _layers(panels[2], of_task)
        _options(panels[3], of_task)
    handles = [style.method_handle("dspa", linestyle=line, label=f"DSPA, {STRENGTHS[name]}") for name, line in _LINES.items()]
    ring = style.handle("the experiment's setting", color="none", marker="o", markersize=9, markeredgecolor=style.SOFT)
    style.legend_below(figure, [*handles, ring, style.method_handle("baseline", marker="", label="Unsteered")], width=2.2)
    style.frame_texts(
        figure,
        "DSPA, one change at a time",
        "Bars, bands: bootstrap intervals over facts. Third and fourth panels: difference from the setting at λ = 1.",
        note,
    )
    return figure


def _curve(axes: Axes, cells: pd.DataFrame, option: str) -> None:
    """Draw the score over the values of an option, both strengths, over the unsteered model."""
    base = cells[(cells["change"] == BASELINE) & (cells["strength"] == "one")].iloc[0]
    axes.axhline(base["score"], color=style.colour("baseline"), linewidth=1.0)
    if np.isfinite(base["low"]):
        axes.axhspan(base["low"], base["high"], color=style.colour("baseline"), alpha=0.15, linewidth=0)
    of_option = cells[cells["change"] == option]
    if of_option.empty:
        style.blank(axes, "not varied")
        return
    for strength, line in _LINES.items():
        points = of_option[of_option["strength"] == strength]
        x = points["value"].astype(float).to_numpy()
        spread = [points["score"] - points["low"], points["high"] - points["score"]]
        axes.errorbar(
            x, points["score"], spread, color=style.colour("dspa"), linestyle=line, marker=style.marker("dspa"), elinewidth=0.8
        )
        axes.plot(x[points["is_own"]], points.loc[points["is_own"], "score"], "o", markersize=9, color="none", mec=style.SOFT)
    axes.set_xscale("log")
    ticks: list[float] = []
    for tick in sorted(of_option["value"].astype(float).unique(), reverse=True):
        if not ticks or tick < 0.75 * ticks[-1]:  # no two labels on top of each other
            ticks.append(tick)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def _layers(axes: Axes, cells: pd.DataFrame) -> None:
    """Draw the difference from the setting for each pair of layers."""
    of_layers = cells[(cells["change"] == "layers") & (cells["strength"] == "one")]
    axes.set_title("Layers")
    if of_layers.empty:
        style.blank(axes, "not varied")
        return
    pairs = [tuple(map(int, value.split(" to "))) for value in of_layers["value"]]
    lows, highs = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    grid = np.full((len(lows), len(highs)), np.nan)
    for (low, high), diff in zip(pairs, of_layers["diff"], strict=True):
        grid[lows.index(low), highs.index(high)] = diff
    bounds = of_layers[["diff", "diff_low", "diff_high"]].abs().to_numpy()  # a difference within its interval stays pale
    limit = 1.5 * max(float(np.nanmax(bounds)), 1e-6)
    axes.imshow(grid, cmap="RdBu", vmin=-limit, vmax=limit, origin="lower", aspect="auto")
    digits = score_digits(cells["task"].iloc[0])
    for (low, high), row in zip(pairs, records(of_layers), strict=True):
        text = "setting" if row["is_own"] else change(row["diff"], digits)
        axes.text(highs.index(high), lows.index(low), text, ha="center", va="center", fontsize=7.5)
    axes.set_xticks(range(len(highs)), map(str, highs))
    axes.set_yticks(range(len(lows)), map(str, lows))
    axes.set_xlabel("answer edited after layer")
    axes.set_ylabel("prompt read after layer")
    axes.grid(visible=False)


def _options(axes: Axes, cells: pd.DataFrame) -> None:
    """Draw the difference from the setting of every other change, with intervals."""
    axes.set_title("Other options")
    names = [name for name in HEADINGS if name not in (*CURVES, OWN, "layers")]
    changed = cells[(cells["strength"] == "one") & cells["change"].isin(names) & ~cells["is_own"]]
    if changed.empty:
        style.blank(axes, "not varied")
        return
    places = np.arange(len(changed))[::-1]
    spread = [changed["diff"] - changed["diff_low"], changed["diff_high"] - changed["diff"]]
    axes.axvline(0, color=style.SOFT, linewidth=0.8)
    axes.errorbar(
        changed["diff"],
        places,
        xerr=spread,
        color=style.colour("dspa"),
        linestyle="",
        marker=style.marker("dspa"),
        elinewidth=1.0,
    )
    axes.set_yticks(places, [f"{row['change']} {row['value']}" for row in records(changed)])
    axes.set_xlabel("difference from the setting")
