"""Figures of the features study: cosines of countries' vectors, and the spread of an effect over features."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from yapo.reporting import style
from yapo.reporting.names import label, ordered
from yapo.studies.features.cells import CELL, Floats, cosines, effect_matrix, spectrum

COLOURS = "RdBu_r"


@rc_context(style.STYLE)
def overlap_figure(vectors: pd.DataFrame, note: str = "") -> Figure:
    """Draw cosines of countries' vectors: above the diagonal of mean changes of the stream, below of effects of features.

    Args:
        vectors: rows of the stage ``features`` in display order, of the tasks and settings to be drawn.
        note: sentence under the figure.
    """
    cells = list(dict.fromkeys(zip(vectors["task"], vectors["setting"], strict=True)))
    methods = ordered("method", vectors["method"])
    figure = style.new_figure(2.7 * len(methods) + 1.2, 2.8 * len(cells) + 1.0)
    grid, scale = figure.subplots(len(cells), len(methods), squeeze=False), Normalize(-1, 1)
    for line, (task, setting) in enumerate(cells):
        for column, method in enumerate(methods):
            axes = grid[line, column]
            part = _of_cell(vectors, task, setting, method)
            axes.imshow(_both(part), norm=scale, cmap=COLOURS, interpolation="nearest")
            _countries(axes, part, names=column == 0, below=line == len(cells) - 1)
            axes.set_title(label("method", method) if line == 0 else "")
            if column == 0:
                axes.set_ylabel(f"{label('task', task)},\n{label('setting', setting).lower()}")
    figure.colorbar(ScalarMappable(scale, COLOURS), ax=grid, shrink=0.6, label="cosine", pad=0.01)
    text = "Above the diagonal: mean change of the residual stream; below: effects of features. Lines part languages."
    style.frame_texts(figure, "How alike the vectors of two countries are", text, note)
    return figure


@rc_context(style.STYLE)
def spectrum_figure(vectors: pd.DataFrame, note: str = "") -> Figure:
    """Draw the share of the whole effect that the n strongest features make up; mean over countries."""
    data = spectrum(vectors)
    cells = list(dict.fromkeys(zip(data["task"], data["setting"], strict=True)))
    methods = ordered("method", data["method"])
    figure = style.new_figure(3.6 * len(cells) + 0.4, 3.3)
    panels = figure.subplots(1, len(cells), squeeze=False, sharey=True)[0]
    for axes, (task, setting) in zip(panels, cells, strict=True):
        for method in methods:
            line = _of_cell(data, task, setting, method)
            axes.plot(line["features"], 100 * line["share"], color=style.colour(method))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.set_title(style.panel_title(task, setting))
        axes.set_xlabel("strongest features")
    panels[0].set_ylabel("share of the effect (%)")
    style.legend_below(figure, [style.method_handle(method, marker="") for method in methods])
    style.frame_texts(figure, f"Over how many features an effect is spread ({style.scope(vectors)})", note)
    return figure


def _of_cell(frame: pd.DataFrame, *cell: str) -> pd.DataFrame:
    return frame[(frame[CELL] == pd.Series(cell, CELL)).all(axis=1)]


def _both(part: pd.DataFrame) -> Floats:
    """Return the matrix of a panel. Upper triangle: cosines of changes; lower: of effects; the diagonal is blank."""
    change = cosines(np.stack(part["change"].to_list()).astype(np.float64))
    effect = cosines(effect_matrix(part["features"].tolist(), part["effects"].tolist(), int(part["width"].iloc[0])))
    both = np.triu(change, 1) + np.tril(effect, -1)
    np.fill_diagonal(both, np.nan)
    return both


def _countries(axes: Axes, part: pd.DataFrame, *, names: bool, below: bool) -> None:
    countries = [label("country", country) for country in part["country"]]
    languages = part["language"].tolist()
    axes.grid(visible=False)
    axes.set_xticks(range(len(countries)), countries if below else [], rotation=90)
    axes.set_yticks(range(len(countries)), countries if names else [])
    axes.tick_params(length=0, labelsize=6.5)
    for place in range(1, len(languages)):
        if languages[place] != languages[place - 1]:
            axes.axhline(place - 0.5, color=style.INK, linewidth=0.8)
            axes.axvline(place - 0.5, color=style.INK, linewidth=0.8)
