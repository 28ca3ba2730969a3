"""The λ sweep as curves, over λ and over what λ does to the residual stream."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import mean_over_countries
from yapo.reporting.render import MINUS
from yapo.reporting.style import (
    STYLE,
    colour,
    frame_texts,
    handle,
    legend_below,
    marker,
    method_handle,
    new_figure,
    score_name,
    share_y,
)

_GOLD = "#5c940d"  # no method's colour
_NO_BANDS = "Intervals are left out here: they are wider than what the curves show."
_ROWS = {
    "score": "",
    "unparsed": "Parse\nfailures (%)",
    "log_prob": "Log-prob. per\ntoken (nats)",
    "repeated": "Repeated\ntrigrams (%)",
}


@rc_context(STYLE)
def sweep_figure(cells: pd.DataFrame, gold: pd.Series, setting: str, *, by_displacement: bool, note: str = "") -> Figure:
    """Return curves of score, parse failures and coherence of every method, one column per task and variant.

    Args:
        cells: from ``sweep_cells``.
        gold: mean log-probability of the right answers, by task and variant.
        setting: whose vectors: those trained on these questions.
        by_displacement: x is how far a point moves the residual stream, negative for λ < 0, instead of λ.
        note: sentence printed under the figure.
    """
    cells = cells[cells["setting"] == setting]
    columns = [(t, v) for t in ordered("task", cells["task"]) for v in ordered("variant", cells["variant"])]
    figure = new_figure(3.1 * len(columns) + 0.6, 8.6)
    grid = figure.subplots(len(_ROWS), len(columns), squeeze=False, sharex=True, height_ratios=[3, 1, 1.6, 1])
    methods = [method for method in ordered("method", cells["method"]) if method != "baseline"]
    bands = _bands_leave_room(cells[cells["measure"] == "score"])
    for column, (task, variant) in enumerate(columns):
        here = cells[(cells["task"] == task) & (cells["variant"] == variant)]
        for line, (measure, name) in enumerate(_ROWS.items()):
            axes = grid[line, column]
            _curves(axes, here[here["measure"] == measure], methods, by_displacement, bands)
            if measure == "log_prob":
                axes.axhline(gold[task, variant], color=_GOLD, linestyle="--", linewidth=1.1)
            if line == 0:
                axes.set_title(f"{label('task', task)},\n{label('variant', variant).lower()}")
                axes.set_ylabel(score_name(task).capitalize())
            elif column == 0:
                axes.set_ylabel(name)
        grid[-1, column].set_xlabel("Signed displacement" if by_displacement else "Multiplier (λ)")
    for measure, line in zip(_ROWS, grid, strict=True):
        if measure in ("unparsed", "repeated"):
            share_y(list(line), at_least=5)
    handles = [method_handle(method) for method in methods]
    lines = [handle("unsteered", color=colour("baseline"), linestyle=":"), handle("right answers", color=_GOLD, linestyle="--")]
    legend_below(figure, [*handles, *lines], width=1.45)
    scope = mean_over_countries(int(cells["countries"].max()))
    over = "displacement of the residual stream" if by_displacement else "the multiplier"
    title = f"All methods over {over}, validation, {label('setting', setting).lower()} vectors, {scope}"
    how = "Bands: bootstrap intervals over facts." if bands else f"{_NO_BANDS} The table has them."
    how += " Log-probabilities are the unsteered model's, of what was said."
    if by_displacement:
        how += f" Negative displacement: λ < 0, {MINUS}1 times the mean change of the residual stream per token."
    frame_texts(figure, title, how, note)
    return figure


def _curves(axes: Axes, cells: pd.DataFrame, methods: list[str], by_displacement: bool, bands: bool) -> None:
    """Draw one curve per method through the unsteered model at 0."""
    base = cells[cells["method"] == "baseline"]
    axes.axhline(base["value"].iloc[0], color=colour("baseline"), linestyle=":", linewidth=1.1, zorder=1)
    axes.axvline(0, color="#c4cad4", linewidth=0.8, zorder=0)
    for method in methods:
        own = pd.concat([cells[cells["method"] == method], base]).sort_values("multiplier")
        x = np.sign(own["multiplier"]) * own["displacement"] if by_displacement else own["multiplier"]
        if bands:
            axes.fill_between(x, own["low"], own["high"], color=colour(method), alpha=0.13, linewidth=0)
        axes.plot(x, own["value"], color=colour(method), marker=marker(method), markersize=3.2, linewidth=1.3)


def _bands_leave_room(scores: pd.DataFrame) -> bool:
    """Return whether the bands of most points are narrower than half the height of their panel's curves."""
    panel = scores.groupby(["task", "variant"])["value"]
    height = panel.transform("max") - panel.transform("min")
    widths = (scores["high"] - scores["low"])[scores["low"].notna()]
    return bool(len(widths)) and bool((widths < height[widths.index] / 2).mean() > 0.5)
