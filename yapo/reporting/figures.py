"""Figures of the layer search, of the multipliers and of the test scores."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from yapo.checks import Task
from yapo.errors import YapoError
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered

_OWN, _WESTERN, _PLAIN, _CHOSEN = "#0072b2", "#d55e00", "#6b7280", "#009e73"


@rc_context(style.STYLE)
def layer_discovery(curves: pd.DataFrame, layer: int, select: str, note: str = "", probability: str = "answer") -> Figure:
    """Draw patching and steerability by layer, one row per country (the paper's Figure 3).

    Args:
        curves: the ``curves`` of ``layer.json``: ``curve`` (patching, patching_western, steerability), ``task``, ``country``,
            ``layer``, ``value``, ``low``, ``high``, ``base``, ``ceiling``.
        layer: the chosen layer (0-based).
        select: ``patching`` or ``steerability``: the curve that chose it.
        note: sentence printed under the figure.
        probability: what those of patching are of: an answer, or a token of it in the geometric mean.

    A layer that the configuration fixed may have no curves; the figure then says so.
    """
    if curves.empty:
        return style.empty_figure("Layer discovery", f"Layer {layer} was set by the configuration; no layer was searched.", note)
    countries = ordered("country", curves["country"])
    columns = [
        (curve, task)
        for curve in ("patching", "steerability")
        for task in ordered("task", curves.loc[curves["curve"] == curve, "task"])
    ]
    figure = style.new_figure(3.3 * len(columns) + 0.5, 2.1 * len(countries) + 1.8)
    grid = figure.subplots(len(countries), len(columns), squeeze=False, sharex=True, sharey="col")
    for line, country in enumerate(countries):
        for column, (curve, task) in enumerate(columns):
            axes = grid[line, column]
            here = curves[(curves["country"] == country) & (curves["task"] == task)]
            scale = 100.0 if curve == "steerability" else 1.0
            _layer_curve(axes, here[here["curve"] == curve], _OWN, scale, bounds=True)
            if curve == "patching":
                _layer_curve(axes, here[here["curve"] == "patching_western"], _WESTERN, scale, bounds=False)
            axes.axvline(layer, color=_CHOSEN, linewidth=3, alpha=0.35, zorder=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if line == 0:
                decides = "\n(chooses the layer)" if curve == select else "\n"
                axes.set_title(f"{curve.capitalize()}, {label('task', task).lower()}{decides}")
            if line == len(countries) - 1:
                axes.set_xlabel("Layer")
            unit = f"probability of {probability}" if curve == "patching" else "answered right (%)"
            axes.set_ylabel(f"{label('country', country)}\n{unit}" if column == 0 else unit)
    handles = [
        style.handle("own answer (patching), answered right (steerability)", color=_OWN, marker="o"),
        style.handle("model untouched", color=_PLAIN, linestyle="--"),
        style.handle(f"chosen layer ({layer})", color=_CHOSEN, linewidth=3, alpha=0.35),
    ]
    if (curves["curve"] == "patching_western").any():
        handles.insert(1, style.handle("Western answer (patching)", color=_WESTERN, marker="s"))
    if curves["ceiling"].notna().any():
        handles.insert(-1, style.handle("localized prompt (ceiling)", color=_PLAIN, linestyle=":"))
    style.legend_below(figure, handles, width=3.2)
    style.frame_texts(figure, "Layer discovery", note)
    return figure


def _layer_curve(axes: Axes, rows: pd.DataFrame, tone: str, scale: float, *, bounds: bool) -> None:
    if rows.empty:
        if bounds:
            style.blank(axes, "not measured")
        return
    rows = rows.sort_values("layer")
    axes.plot(rows["layer"], scale * rows["value"], color=tone, marker="o" if bounds else "s")
    axes.fill_between(rows["layer"], scale * rows["low"], scale * rows["high"], color=tone, alpha=0.15, linewidth=0)
    if bounds:
        for name, line in (("base", "--"), ("ceiling", ":")):
            if rows[name].notna().any():
                axes.axhline(scale * rows[name].mean(), color=_PLAIN, linestyle=line, linewidth=1.1)


@rc_context(style.STYLE)
def multiplier_curves(validation: pd.DataFrame, note: str = "") -> Figure:
    """Draw the validation score over the multiplier, with parse failures beneath; mean over the countries in the frame.

    Every vector is taken at its chosen epoch; all curves meet in the unsteered model at λ = 0. Dots mark chosen multipliers,
    larger where more countries chose the same.
    Methods without a multiplier are dashed lines.

    Args:
        validation: validation scores of one or several countries.
        note: sentence printed under the figure.
    """
    if validation.empty:
        raise YapoError("validation has no rows; run the validate stage for at least one country first")
    keys = ["country", "task", "setting", "method"]
    selected = validation.loc[validation["selected"], [*keys, "epoch"]].drop_duplicates()
    rows = validation.merge(selected, on=[*keys, "epoch"])
    tasks, settings = ordered("task", rows["task"]), ordered("setting", rows["setting"])
    methods = ordered("method", rows["method"])
    swept = [method for method in methods if rows.loc[rows["method"] == method, "multiplier"].nunique() > 1]
    figure = style.new_figure(3.4 * len(settings) + 0.4, 3.2 * len(tasks) + 1.2)
    grid = figure.subplots(
        2 * len(tasks), len(settings), squeeze=False, sharex=True, sharey="row", height_ratios=[3, 1.1] * len(tasks)
    )
    for row, task in enumerate(tasks):
        for column, setting in enumerate(settings):
            score, failures = grid[2 * row : 2 * row + 2, column]
            here = rows[(rows["task"] == task) & (rows["setting"] == setting)]
            unsteered = here[here["method"] == "baseline"].assign(multiplier=0.0, selected=False)
            for method in methods:
                of_method = here[here["method"] == method]
                if method in swept and not (of_method["multiplier"] == 0).any():  # at 0 every vector is the unsteered model
                    of_method = pd.concat([of_method, unsteered[unsteered["country"].isin(of_method["country"])]])
                _multiplier_lines(score, failures, of_method, method, task, method in swept)
            score.set_title(style.panel_title(task, setting))
            failures.tick_params(labelbottom=True)
            failures.set_xlabel("Multiplier (λ)" if row == len(tasks) - 1 else "")
            if column == 0:
                score.set_ylabel(style.score_name(task) + "\n(validation)")
                failures.set_ylabel("Parse\nfailures (%)")
        style.share_y(list(grid[2 * row + 1]), at_least=5)
    handles = [style.method_handle(m) if m in swept else style.method_handle(m, linestyle="--", marker="") for m in methods]
    size = "" if rows["country"].nunique() == 1 else ", larger where more countries chose it"
    handles.append(style.handle(f"chosen λ{size}", marker="o", linestyle=""))
    style.legend_below(figure, handles, width=1.45)
    style.frame_texts(figure, f"Validation over the multiplier, {style.scope(rows)}", note)
    return figure


def _multiplier_lines(score: Axes, failures: Axes, rows: pd.DataFrame, method: str, task: Task, swept: bool) -> None:
    if rows.empty:
        return
    scale = 100.0 if task == "mcq" else 1.0
    tone = style.colour(method)
    if not swept:
        score.axhline(scale * rows["score"].mean(), color=tone, linestyle="--", linewidth=1.1)
        failures.axhline(100 * rows["parse_failure_rate"].mean(), color=tone, linestyle="--", linewidth=1.1)
        return
    grouped = rows.groupby("multiplier", sort=True)
    complete = grouped["country"].nunique() == rows["country"].nunique()
    means = grouped[["score", "parse_failure_rate"]].mean()[complete]
    score.plot(means.index, scale * means["score"], color=tone)
    failures.plot(means.index, 100 * means["parse_failure_rate"], color=tone)
    share = rows.loc[rows["selected"], "multiplier"].value_counts(normalize=True)
    share = share[share.index.isin(means.index)]
    heights = scale * means["score"].loc[share.index]
    score.scatter(
        share.index, heights, s=12 + 60 * share, color=tone, marker=style.marker(method), zorder=3, alpha=0.85, linewidths=0
    )


@rc_context(style.STYLE)
def summary(scores: pd.DataFrame, note: str = "") -> Figure:
    """Draw the test score of every method with its bootstrap interval, one panel per task and setting.

    Args:
        scores: ``task, setting, method, value, low, high`` in printed units, one row per dot: the ``data`` of the ``summary``
            table, or one country's rows of table 1 or 2.
        note: sentence printed under the figure.
    """
    if scores.empty:
        raise YapoError("no test scores to show; run the evaluate stage for at least one country first")
    tasks, settings = ordered("task", scores["task"]), ordered("setting", scores["setting"])
    methods = ordered("method", scores["method"])
    figure = style.new_figure(2.7 * len(settings) + 0.9, (0.24 * len(methods) + 0.8) * len(tasks) + 0.6)
    grid = figure.subplots(len(tasks), len(settings), squeeze=False, sharex="row", sharey=True)
    for row, task in enumerate(tasks):
        for column, setting in enumerate(settings):
            axes = grid[row, column]
            here = {
                record["method"]: record for record in records(scores[(scores["task"] == task) & (scores["setting"] == setting)])
            }
            for method, record in here.items():
                style.interval_dot(axes, record, methods.index(method), method, size=6)
            if "baseline" in here:
                axes.axvline(here["baseline"]["value"], color=style.colour("baseline"), linewidth=0.9, linestyle=":", zorder=0)
            style.name_lines(axes, [label("method", method) for method in methods])
            axes.margins(x=0.06)
            if row == 0:
                axes.set_title(label("setting", setting))
            axes.set_xlabel(f"{label('task', task)}: {style.score_name(task)}")
    style.frame_texts(figure, f"Test scores, {style.scope(scores) if 'country' in scores else 'mean over all countries'}", note)
    return figure
