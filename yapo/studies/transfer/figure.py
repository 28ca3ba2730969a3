"""Figures of transfer between countries: a matrix of countries, zero-shot vectors, and adopted answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from yapo.checks import Variant
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import change
from yapo.studies.transfer.table import RELATIONS, TransferCells

_MAP = "RdBu"
# Inches that the report page gives a figure (75rem); a wider one is shown smaller, and its numbers could not be read.
_PAGE = 12.5


@rc_context(style.STYLE)
def transfer_matrix(cells: TransferCells, method: str, note: str = "") -> Figure:
    """Return changes of the score of each country's questions by each country's vector, one panel per variant and task."""
    shown = cells.pairs[(cells.pairs["method"] == method) & (cells.pairs["source"] != "") & (cells.pairs["measure"] == "change")]
    title = f"{label('method', method)}: change of the score by vectors of other countries"
    if shown.empty:
        return style.empty_figure(title, "No vectors of this method were tried on other countries.", note)
    asked = cells.pairs.drop_duplicates("country")
    places = {
        (language, country): None
        for language in ordered("language", asked["language"])
        for country in ordered("country", asked.loc[asked["language"] == language, "country"])
    }
    countries, languages = [country for _, country in places], [language for language, _ in places]
    tasks, variants = ordered("task", shown["task"]), ordered("variant", shown["variant"])
    side = min(0.46 * len(countries) + 1.7, (_PAGE - 0.4) / len(tasks))
    figure = style.new_figure(side * len(tasks) + 0.4, side * len(variants) + 1.0)
    grid = figure.subplots(len(variants), len(tasks), squeeze=False)
    for line, variant in enumerate(variants):
        for column, task in enumerate(tasks):
            here = shown[(shown["task"] == task) & (shown["variant"] == variant)]
            axes = grid[line, column]
            _matrix(axes, here, countries, languages, 0 if task == "mcq" else 1)
            unit = "points of accuracy" if task == "mcq" else "points of 10"
            axes.set_title(f"{style.panel_title(task, variant)}\n({unit})")
            axes.set_xlabel("Country that is asked")
            axes.set_ylabel("Country of the vector")
    how = (
        "Number: mean change from the unsteered model on the same test questions; small: half the width of its bootstrap "
        "interval. Frames: languages; diagonal: own vector. Other languages: on a sample of the facts."
    )
    style.frame_texts(figure, title, how, note)
    return figure


def _matrix(axes: Axes, cells: pd.DataFrame, countries: list[str], languages: list[str], digits: int) -> None:
    values = np.full((len(countries), len(countries)), np.nan)
    most = max(float(cells["value"].abs().max()), 1e-9) if len(cells) else 1.0
    for record in records(cells):
        row, column = countries.index(record["source"]), countries.index(record["country"])
        values[row, column] = record["value"]
        half = (record["high"] - record["low"]) / 2
        ink = "white" if abs(record["value"]) > 0.62 * most else style.INK
        axes.text(column, row - 0.18, change(record["value"], digits), ha="center", va="center", fontsize=6.6, color=ink)
        if np.isfinite(half):
            axes.text(column, row + 0.24, f"±{half:.{digits}f}", ha="center", va="center", fontsize=6, color=ink)
    axes.imshow(values, cmap=_MAP, vmin=-most, vmax=most, aspect="equal")
    names = [label("country", country) for country in countries]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for language in dict.fromkeys(languages):
        first, size = languages.index(language), languages.count(language)
        axes.add_patch(Rectangle((first - 0.5, first - 0.5), size, size, fill=False, edgecolor=style.INK, linewidth=1.4))


@rc_context(style.STYLE)
def transfer_relations(cells: TransferCells, variant: Variant, note: str = "") -> Figure:
    """Return changes of the score by own, zero-shot, siblings' and foreign vectors, by language; one column per task."""
    shown = cells.languages[(cells.languages["measure"] == "change") & (cells.languages["variant"] == variant)]
    shown = shown[shown["relation"].isin(RELATIONS)]
    title = f"Own, zero-shot and foreign vectors, {label('variant', variant).lower()} test questions"
    if shown.empty:
        return style.empty_figure(title, "No vectors were tried.", note)
    languages, tasks = ordered("language", shown["language"]), ordered("task", shown["task"])
    methods = ordered("method", shown["method"])
    lines = [(language, relation) for language in languages for relation in RELATIONS]
    figure = style.new_figure(4.6 * len(tasks) + 1.2, 0.19 * len(lines) + 1.9)
    grid = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
    for axes, task in zip(grid, tasks, strict=True):
        here = shown[shown["task"] == task]
        for record in records(here):
            shift = 0.16 * (methods.index(record["method"]) - len(methods) / 2 + 0.5)
            style.interval_dot(
                axes, record, lines.index((record["language"], record["relation"])) + shift, record["method"], size=3.6
            )
        axes.axvline(0, color=style.colour("baseline"), linewidth=1.0, linestyle=":")
        for place in range(len(RELATIONS), len(lines), len(RELATIONS)):
            axes.axhline(place - 0.5, color="#9aa3b2", linewidth=0.8)
        first = RELATIONS[0]
        style.name_lines(axes, [f"{label('language', spoken)}: {name}" if name == first else name for spoken, name in lines])
        axes.set_title(label("task", task))
        axes.set_xlabel("Change from unsteered (" + ("points of accuracy)" if task == "mcq" else "points of 10)"))
    style.legend_below(figure, [style.method_handle(method, linestyle="") for method in methods], width=1.2)
    how = "Lines: bootstrap intervals over facts. Left out: one vector of all other countries of the language."
    style.frame_texts(figure, title, how, note)
    return figure


@rc_context(style.STYLE)
def transfer_adoption(cells: TransferCells, variant: Variant, note: str = "") -> Figure:
    """Return the shares of answers under a sibling's vector that are the sibling's and the country's own, by language."""
    shown = cells.languages[(cells.languages["variant"] == variant) & (cells.languages["relation"] == "same language")]
    title = f"Whose answer is given under a sibling's vector, {label('variant', variant).lower()} test questions"
    adopted = shown[shown["measure"] == "adopted"]
    if adopted.empty:
        return style.empty_figure(title, "No language of this study has two countries.", note)
    languages, tasks = ordered("language", adopted["language"]), ordered("task", shown["task"])
    methods = ordered("method", adopted["method"])
    figure = style.new_figure(4.6 * len(tasks) + 0.8, 0.13 * len(languages) * (len(methods) + 1) + 1.8)
    grid = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
    for axes, task in zip(grid, tasks, strict=True):
        here = shown[(shown["task"] == task) & shown["language"].isin(languages)]
        if here.empty:
            style.blank(axes, "not measured")
        for record in records(here[here["measure"] == "kept_before"].drop_duplicates("language")):  # the same for every method
            first = languages.index(record["language"]) * (len(methods) + 1.6)
            axes.plot(
                [record["value"]] * 2, [first - 0.5, first + len(methods) - 0.5], color=style.colour("baseline"), linestyle=":"
            )
        for record in records(here[here["measure"].isin(["adopted", "kept"])]):
            place = languages.index(record["language"]) * (len(methods) + 1.6) + methods.index(record["method"])
            face = style.colour(record["method"]) if record["measure"] == "adopted" else "white"
            style.interval_dot(axes, record, place, record["method"], markerfacecolor=face)
        middle = [i * (len(methods) + 1.6) + (len(methods) - 1) / 2 for i in range(len(languages))]
        axes.set_yticks(middle, [label("language", language) for language in languages])
        axes.set_ylim(len(languages) * (len(methods) + 1.6) - 1, -1)
        axes.set_xlim(-2, 102)
        axes.grid(axis="y", visible=False)
        axes.set_title(label("task", task))
        axes.set_xlabel("Share of answers (%)")
    handles = [style.method_handle(method, linestyle="") for method in methods]
    handles += [
        style.handle("answer of the vector's country", marker="o", linestyle=""),
        style.handle("answer of the country asked", marker="o", linestyle="", markerfacecolor="white"),
        style.handle("the latter, unsteered", color=style.colour("baseline"), linestyle=":"),
    ]
    style.legend_below(figure, handles, width=1.9)
    how = "Exact answers to the questions on which the two countries differ. Lines: bootstrap intervals over facts."
    style.frame_texts(figure, title, how, note)
    return figure
