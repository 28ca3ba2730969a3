"""The look of every figure: one style, one colour and marker per method, one way to write."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from yapo.checks import Task
from yapo.files import replacing
from yapo.reporting.names import label
from yapo.reporting.numbers import VALUE, mean_over_countries
from yapo.reporting.palette import look

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#5d6678",
    "axes.grid": True,
    "axes.labelsize": 8.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.parse_math": False,  # a name may hold dollar signs
    "grid.color": "#e3e7ee",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "savefig.dpi": 160,
    "svg.hashsalt": "yapo",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


SOFT, INK = "#5d6678", "#1d2433"  # of lines beside the data, of lines between groups
_MARK = "#3b4252"  # of legend entries of no one method


def colour(method: str) -> str:
    """Return the colour of a method, the same in every figure."""
    return look(method)[0]


def marker(method: str) -> str:
    """Return the marker of a method, the same in every figure."""
    return look(method)[1]


def method_handle(method: str, **look: Any) -> Line2D:
    """Return the legend entry of a method."""
    return handle(label("method", method), **{"color": colour(method), "marker": marker(method), **look})


def handle(text: str, **look: Any) -> Line2D:
    """Return a legend entry."""
    return Line2D([], [], **{"color": _MARK, "label": text, **look})


def interval_dot(
    axes: Axes,
    record: Mapping[str, Any],
    line: float,
    method: str,
    *,
    names: tuple[str, str, str] = VALUE,
    scale: float = 1.0,
    size: float = 4.5,
    **look: Any,
) -> None:
    """Draw a number of a method, times ``scale``, as a dot in line ``line``, with its interval; ``names`` are its columns."""
    value, low, high = (scale * float(record[name]) for name in names)
    axes.plot([low, high], [line, line], color=colour(method), linewidth=1.6, alpha=0.5)
    axes.plot([value], [line], color=colour(method), marker=marker(method), markersize=size, linestyle="", **look)


def name_lines(axes: Axes, names: Sequence[str]) -> None:
    """Name the lines of a panel, the first one on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches; never too narrow for a title and a legend."""
    return Figure(figsize=(max(5.0, width), height), layout="constrained")


def legend_below(figure: Figure, handles: Iterable[Line2D], width: float = 1.7) -> None:
    """Draw one legend for the whole figure, outside the axes so that it hides no data; ``width`` is an entry's, in inches."""
    entries = list(handles)
    fitting = max(1, int(figure.get_figwidth() / width))
    lines = -(-len(entries) // fitting)
    figure.legend(handles=entries, loc="outside lower center", ncols=-(-len(entries) // lines))


def blank(axes: Axes, text: str) -> None:
    """Say in the middle of a panel that it has no data."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=SOFT)


def frame_texts(figure: Figure, title: str, *sentences: str) -> None:
    """Write a title above the panels and sentences below them, over the legend if there is one; call it after the legend."""
    inches = figure.get_figwidth()
    figure.suptitle(textwrap.fill(title, int(9 * inches)), x=0.006, ha="left", fontsize=11, fontweight="bold")
    note = textwrap.fill(" ".join(filter(None, sentences)), int(15 * inches))
    if note and figure.legends:  # a text and a legend below the panels would overlap: the layout does not stack them
        figure.legends[0].set_title(note, prop=FontProperties(size=7.5))
        figure.legends[0].get_title().set_color(SOFT)
    elif note:
        figure.supxlabel(note, fontsize=7.5, color=SOFT)


def empty_figure(title: str, text: str, note: str) -> Figure:
    """Return a figure that says why it has nothing to show."""
    figure = new_figure(5.0, 1.8)
    axes = figure.subplots()
    axes.set_axis_off()
    blank(axes, text)
    frame_texts(figure, title, note)
    return figure


def scope(rows: pd.DataFrame) -> str:
    """Return the country of some numbers, or over how many countries they are averaged."""
    countries = rows["country"].unique()
    return label("country", countries[0]) if len(countries) == 1 else mean_over_countries(len(countries))


def share_y(panels: list[Axes], at_least: float = 0.0) -> None:
    """Set equal y limits over the panels of a row, reaching ``at_least`` up; tick labels on the first panel only."""
    low = min(axes.get_ylim()[0] for axes in panels)
    high = max(at_least, *(axes.get_ylim()[1] for axes in panels))
    for place, axes in enumerate(panels):
        axes.set_ylim(-0.05 * high if at_least else low, high)
        axes.tick_params(labelleft=place == 0)


def panel_title(task: Task, questions: str) -> str:
    """Return the title of a panel: "Multiple choice, localized"."""
    return f"{label('task', task)}, {label('setting', questions).lower()}"


def score_name(task: Task) -> str:
    """Return the axis label of a task's score."""
    return "accuracy (%)" if task == "mcq" else "score (0 to 10)"


def write_figure(figure: Figure, path: Path) -> list[Path]:
    """Write ``path`` + ``.svg`` and ``.png`` and return the two paths; an equal figure gives equal bytes."""
    paths = []
    for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
        target = path.with_name(path.name + suffix)
        with replacing(target) as temporary, rc_context(STYLE):
            figure.savefig(temporary, format=suffix[1:], metadata=metadata)
        paths.append(target)
    return paths
