"""Figure of open answers: the measures of every method, mean over countries."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.studies.open_answers.measures import Measure
from yapo.studies.open_answers.table import NAMES

_PANELS: dict[Measure, str] = {
    "distinct_2": "high: diverse",
    "self_chrf": "high: alike",
    "own": "answers that name one",
    "others": "answers that name one",
    "score": "0 to 10",
    "harmonic_mean": "concept, instruct, fluency, 0 to 2",
}


@rc_context(style.STYLE)
def open_answers_figure(cells: pd.DataFrame, scope: str, note: str) -> Figure:
    """Return one panel a measure that is there, one line a method, with intervals and the baseline as a dotted line.

    Args:
        cells: from ``measures.open_answer_cells``, of one country or of the mean.
        scope: which that is, in words.
        note: sentence printed under the figure.
    """
    shown = [name for name in _PANELS if (cells["measure"] == name).any()]
    methods = ordered("method", cells["method"])
    figure = style.new_figure(2.3 * len(shown) + 1.0, 0.3 * len(methods) + 1.8)
    for place, (axes, name) in enumerate(zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True)):
        for record in records(cells[cells["measure"] == name]):
            style.interval_dot(axes, record, methods.index(record["method"]), record["method"])
            if record["method"] == "baseline":
                axes.axvline(record["value"], color=style.colour("baseline"), linestyle=":", linewidth=1.0, zorder=1)
        style.name_lines(axes, [label("method", method) for method in methods] if place == 0 else [""] * len(methods))
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(NAMES[name])
        axes.set_xlabel(_PANELS[name])
    how = "Lines: bootstrap intervals over facts. Dotted: the unsteered model."
    style.frame_texts(figure, f"Open answers, {scope}", how, note)
    return figure
