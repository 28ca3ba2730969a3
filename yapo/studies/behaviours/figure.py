"""The grade of each behaviour at both signs of every vector, as a figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.evaluation.judges.behaviour import scale_of
from yapo.reporting.names import ordered
from yapo.reporting.render import MINUS
from yapo.reporting.style import STYLE, colour, frame_texts, legend_below, marker, method_handle, new_figure


@rc_context(STYLE)
def behaviours_figure(cells: pd.DataFrame, note: str = "") -> Figure:
    """Draw one panel per behaviour: the score of each method from -λ over unsteered to +λ, with intervals."""
    scores = cells[cells["measure"] == "score"]
    names = sorted(scores["behaviour"].unique())
    figure = new_figure(2.7 * len(names) + 0.4, 3.4)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    methods = [m for m in ordered("method", scores["method"]) if m != "baseline"]
    shifts = np.linspace(-0.16, 0.16, len(methods))
    for axes, behaviour in zip(panels, names, strict=True):
        own = scores[scores["behaviour"] == behaviour].set_index(["method", "direction"])
        base = own.loc[("baseline", 0)]
        axes.axhline(base["value"], color=colour("baseline"), linewidth=1.0)
        axes.axhspan(base["low"], base["high"], color=colour("baseline"), alpha=0.15, linewidth=0)
        for method, shift in zip(methods, shifts, strict=True):
            ends = own.loc[[(method, -1), (method, 1)]]
            spread = [ends["value"] - ends["low"], ends["high"] - ends["value"]]
            places = np.array([-1.0, 1.0]) + shift
            axes.errorbar(places, ends["value"], spread, color=colour(method), marker=marker(method), linewidth=1.2)
        axes.set_xticks([-1, 1], [f"{MINUS}λ", "+λ"])
        axes.set_xlim(-1.5, 1.5)
        axes.set_title(scale_of(behaviour).title)
    panels[0].set_ylabel("grade: 1 absent to 4 fully there")
    panels[0].set_ylim(0.9, 4.1)
    legend_below(figure, [method_handle("baseline", marker="", label="Unsteered"), *(method_handle(m) for m in methods)])
    frame_texts(figure, "Behaviours, steered both ways", "Test questions; bars and band: bootstrap intervals.", note)
    return figure
