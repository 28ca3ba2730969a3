"""The ablations as dots: the change of each measure from the default."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.reporting.style import (
    SOFT,
    STYLE,
    blank,
    frame_texts,
    interval_dot,
    legend_below,
    method_handle,
    name_lines,
    new_figure,
    score_name,
)
from yapo.studies.ablations.table import CHANGE, DEFAULT, UNSTEERED, change_name

_PANELS = {
    "score": "Score at λ = 1",
    "score_reversed": f"Score at λ = {MINUS}1",
    "loss": "Loss at d = 1",
    "loss_reversed": f"Loss at d = {MINUS}1",
}


@rc_context(STYLE)
def ablations_figure(cells: pd.DataFrame, note: str = "") -> Figure:
    """Return differences from the default with their intervals: panels per task, a line per variant, methods side by side.

    Args:
        cells: from ``ablation_cells``.
        note: sentence printed under the figure.
    """
    tasks, methods = ordered("task", cells["task"]), ordered("method", cells["method"])
    changed = cells[~cells["change"].isin([DEFAULT, UNSTEERED])]
    # In the order of the configuration, which the method with the most variants shows whole.
    many = changed.groupby("method")["change"].transform("nunique")
    names = list(changed.assign(many=many).sort_values("many", ascending=False, kind="stable")["change"].unique())
    figure = new_figure(11.0, (0.33 * max(1, len(names)) + 0.9) * len(tasks) + 1.2)
    grid = figure.subplots(len(tasks), len(_PANELS), squeeze=False, sharey=True)
    for task, line in zip(tasks, grid, strict=True):
        for (measure, title), axes in zip(_PANELS.items(), line, strict=True):
            axes.axvline(0, color=SOFT, linewidth=1.0)
            axes.grid(axis="y", visible=False)
            for cell in changed[(changed["task"] == task) & (changed["measure"] == measure)].to_dict("records"):
                shift = (methods.index(cell["method"]) - (len(methods) - 1) / 2) * 0.26
                interval_dot(axes, cell, names.index(cell["change"]) + shift, cell["method"], names=CHANGE)
            unit = f", {score_name(task)}" if measure.startswith("score") and task == "mcq" else ""
            axes.set_title(f"{title}{unit}")
            if task == tasks[-1]:
                axes.set_xlabel("Difference from the default")
            if not names:
                blank(axes, "no variants")
        name_lines(line[0], [change_name(name) for name in names])
        if len(tasks) > 1:
            line[0].set_ylabel(label("task", task))
    legend_below(figure, [method_handle(method, linestyle="") for method in methods])
    frame_texts(figure, "One change at a time, validation", "Bars: bootstrap intervals of the difference, over facts.", note)
    return figure
