"""The ablations as dots: how far each change moves each measure away from the default."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.reporting.style import STYLE, blank, colour, frame_texts, legend_below, marker, method_handle, new_figure, score_name
from yapo.studies.ablations.table import DEFAULT, UNSTEERED, change_name

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
        cells: what ``ablation_cells`` makes.
        note: sentence printed under the figure.
    """
    tasks, methods = ordered("task", cells["task"]), ordered("method", cells["method"])
    changed = cells[~cells["change"].isin([DEFAULT, UNSTEERED])]
    # In the order of the configuration, which the method with the most variants shows whole.
    names = list(dict.fromkeys(changed.assign(many=changed.groupby("method")["change"].transform("nunique"))
                               .sort_values("many", ascending=False, kind="stable")["change"]))  # fmt: skip
    figure = new_figure(11.0, (0.33 * max(1, len(names)) + 0.9) * len(tasks) + 1.2)
    grid = figure.subplots(len(tasks), len(_PANELS), squeeze=False, sharey=True)
    for task, line in zip(tasks, grid, strict=True):
        for (measure, title), axes in zip(_PANELS.items(), line, strict=True):
            here = changed[(changed["task"] == task) & (changed["measure"] == measure)]
            axes.axvline(0, color="#5d6678", linewidth=1.0)
            for place, method in enumerate(methods):
                own = here[here["method"] == method].set_index("change")
                _dots(axes, own, names, method, (place - (len(methods) - 1) / 2) * 0.26)
            unit = f", {score_name(task)}" if measure.startswith("score") and task == "mcq" else ""
            axes.set_title(f"{title}{unit}")
            if task == tasks[-1]:
                axes.set_xlabel("Difference from the default")
            if not names:
                blank(axes, "no variants")
        line[0].set_yticks(range(len(names)), [change_name(name) for name in names])
        line[0].set_ylim(len(names) - 0.4, -0.6)
        if len(tasks) > 1:
            line[0].set_ylabel(label("task", task))
    legend_below(figure, [method_handle(method, linestyle="") for method in methods])
    frame_texts(
        figure, "One change at a time, validation", f"Bars: bootstrap intervals of the difference, over facts. {note}".strip()
    )
    return figure


def _dots(axes: Axes, cells: pd.DataFrame, names: list[str], method: str, shift: float) -> None:
    for place, name in enumerate(names):
        if name not in cells.index:
            continue
        value, low, high = (float(cells.loc[name, column]) for column in ("change_value", "change_low", "change_high"))  # type: ignore[arg-type]
        axes.plot([low, high], [place + shift] * 2, color=colour(method), linewidth=1.4, alpha=0.7)
        axes.plot([value], [place + shift], color=colour(method), marker=marker(method), markersize=4.5, linestyle="")
