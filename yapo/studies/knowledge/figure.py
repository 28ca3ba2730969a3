"""Changes of general knowledge under each method, as a figure."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yapo.reporting.cells import records
from yapo.reporting.names import ordered
from yapo.reporting.numbers import CHANGE, plural
from yapo.reporting.style import STYLE, colour, frame_texts, interval_dot, legend_below, method_handle, new_figure
from yapo.studies.knowledge.table import ABOUT, in_percent, title

COLUMNS = 2
GAP = 1.0  # between lines, in methods


@rc_context(STYLE)
def knowledge_changes(cells: pd.DataFrame, note: str = "") -> Figure:
    """Draw changes from the baseline with intervals: a panel for each kind of question, a band for each relation of countries.

    Args:
        cells: from ``knowledge_cells``.
        note: sentence printed under the figure.
    """
    steered = cells[cells["method"] != "baseline"]
    methods = ordered("method", steered["method"])
    panels = list(steered.groupby(["questions", "metric"], sort=False))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    bands = int(steered.groupby(["questions", "metric"], sort=False)["about"].nunique().max())
    figure = new_figure(3.6 * columns + 1.2, (0.17 * (len(methods) + GAP) * bands + 0.75) * rows + 0.9)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, ((questions, metric), part) in zip(grid.flat, panels, strict=False):
        _panel(axes, part, methods)
        axes.set_title(title(str(questions), str(metric)))
        axes.set_xlabel(f"change from the baseline{' (percentage points)' if in_percent(str(metric)) else ''}")
    legend_below(figure, [method_handle(method) for method in methods], width=1.1)
    count = int(cells["countries"].max())
    frame_texts(figure, f"General knowledge under steering, {plural(count, 'steered country')}", note)
    return figure


def _panel(axes: Axes, part: pd.DataFrame, methods: list[str]) -> None:
    scale = 100.0 if in_percent(str(part["metric"].iloc[0])) else 1.0
    ticks, names = [], []
    for band, (about, line) in enumerate(part.groupby("about", sort=False)):
        top = band * (len(methods) + GAP)
        ticks.append(top + (len(methods) - 1) / 2)
        names.append(ABOUT[str(about)].replace(" of its ", "\nof its "))
        for cell in records(line):
            interval_dot(axes, cell, top + methods.index(cell["method"]), cell["method"], names=CHANGE, scale=scale, size=5)
    axes.axvline(0, color=colour("baseline"), linewidth=0.9, linestyle=":", zorder=0)
    axes.set_yticks(ticks, names)
    axes.set_ylim(len(ticks) * (len(methods) + GAP) - GAP - 0.3, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
