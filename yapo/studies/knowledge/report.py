"""Report of ``knowledge``: general knowledge before and after steering, over all steered countries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.evaluation.bootstrap import intervals
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import CHANGE, VALUE, number, number_cell, plural, with_interval
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.studies.means import country_means
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "methods", "knowledge", "studies.knowledge")
NAME = "knowledge"
LINE = ["questions", "metric", "about"]
KEYS = [*LINE, "method"]
ABOUT = {"": "", "own": "steered country", "same language": "others of its language", "other languages": "other languages"}
_OWN = {"culture_mcq": "Multiple choice", "culture_open_ended": "Open-ended"}
PANELS = 2  # side by side
GAP = 1.0  # between lines, in methods


def main(config: Config) -> None:
    """Write ``tables/knowledge.*``, ``figures/knowledge.*`` and the finding."""
    report, task, setting = config.report, config.knowledge.vector_task, config.knowledge.vector_setting
    options = TableOptions(report.resamples, report.confidence, report.seed, note=report.note)
    vector = f"vectors: {label('task', task).lower()}, {label('setting', setting).lower()}"
    cells = knowledge_cells(read_rows(config, NAME), options)
    values = {
        "countries": int(cells["countries"].max()),
        "vector": vector,
        "lines": finding_lines(cells),
        "confidence": options.confidence,
        "own": bool((cells["about"] != "").any()),
        "note": options.note,
    }
    tables, figures = {NAME: knowledge_table(cells, vector, options)}, {NAME: knowledge_changes(cells, report.note)}
    write_report(config, NAME, Path(__file__).with_name("finding.md.j2"), values, tables, figures)


def knowledge_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return tidy numbers: mean score and change of each method over the steered countries, each country counted once.

    Where single answers are known, facts are resampled, the same ones for every country and method, so that a change is
    taken question by question. Where only lm-eval's scores are, intervals are normal ones from its standard errors, as if
    before and after had been asked independently and all countries erred together: wider than they need be.

    Args:
        rows: columns of the stage ``knowledge``, of all steered countries.
        options: how to resample.

    Returns:
        ``KEYS``, value, low, high, change, change_low, change_high (NaN for the baseline), interval ("bootstrap" or
        "lm-eval"), n (answers in a cell), n_questions (different ones), countries; scores in lm-eval's units.
    """
    single = rows["question_id"] != ""
    parts = [make(part, options) for part, make in ((rows[single], _resampled), (rows[~single], _normal)) if len(part)]
    of_cell = rows.groupby(KEYS, sort=False)
    asked = rows.drop_duplicates([*KEYS, "question_id"]).groupby(KEYS, sort=False)
    counts = pd.concat([of_cell["n"].sum(), asked["n"].sum().rename("n_questions")], axis=1)
    cells = pd.concat(parts).join(counts.assign(countries=of_cell["country"].nunique())).reset_index()
    cells.loc[cells["method"] == "baseline", list(CHANGE)] = math.nan
    for column, order in (("about", list(ABOUT)), ("method", ordered("method", cells["method"]))):
        cells[column] = pd.Categorical(cells[column], order, ordered=True)
    return cells.sort_values(KEYS, ignore_index=True).astype({"about": str, "method": str})


def _resampled(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    scored = rows.rename(columns={"value": "score"})
    draws = country_means(scored, KEYS, options, within=LINE)
    change = intervals(draws - _baseline(draws), options.confidence).set_axis(CHANGE, axis=1)
    return pd.concat([intervals(draws, options.confidence), change], axis=1).assign(interval="bootstrap")


def _normal(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    means = rows.groupby(KEYS, sort=False)[["value", "stderr"]].mean()
    before = _baseline(means)
    change = (means["value"] - before["value"]).rename("change")
    both = (means["stderr"] ** 2 + before["stderr"] ** 2) ** 0.5
    z = NormalDist().inv_cdf((1 + options.confidence) / 2)
    bounds = {"low": means["value"] - z * means["stderr"], "high": means["value"] + z * means["stderr"]}
    return means[["value"]].assign(
        **bounds, change=change, change_low=change - z * both, change_high=change + z * both, interval="lm-eval"
    )


def _baseline(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the baseline's row of each row's line."""
    return frame.loc[[(*line, "baseline") for *line, _ in frame.index]].set_axis(frame.index)


def knowledge_table(cells: pd.DataFrame, vector: str, options: TableOptions) -> Table:
    """Return the table of scores and of changes from the baseline.

    Args:
        cells: what ``knowledge_cells`` returns.
        vector: which vectors steered, in words.
        options: as for the cells.
    """
    methods, over = ordered("method", cells["method"]), plural(int(cells["countries"].max()), "steered country")
    sheet = Sheet(
        name=NAME,
        title="General knowledge",
        caption=f"What the model knows when steered towards one country ({vector}), mean over {over}.",
        notes=_notes(cells, options),
        heads=("Questions", "About, or metric"),
        columns=(*(label("method", method) for method in methods), "n"),
        groups=(
            Group("Score", tuple(_rows(cells, methods, VALUE, sign=False))),
            Group("Change from the baseline", tuple(_rows(cells, methods, CHANGE, sign=True))),
        ),
    )
    return make_table(sheet, cells, options.note)


def _rows(cells: pd.DataFrame, methods: Sequence[str], names: tuple[str, str, str], *, sign: bool) -> Iterator[TableRow]:
    for (questions, metric, about), part in cells.groupby(LINE, sort=False):
        found = {record["method"]: record for record in records(part)}
        printed = tuple(_cell(found.get(method), names, sign) for method in methods)
        n = Cell(f"{part['n'].max():,} ({part['n_questions'].max():,} {'facts' if about else 'questions'})")
        heads = (_OWN.get(str(questions), str(questions)), ABOUT[str(about)] or str(metric))
        yield TableRow(heads, (*printed, n))


def _scaled(record: dict[str, Any], names: tuple[str, str, str]) -> tuple[dict[str, float], int]:
    """Return the numbers of a cell in printed units, and how many decimals they have."""
    scale, digits = (100.0, 1) if in_percent(record["metric"]) else (1.0, 3)
    return {name: scale * record[name] for name in names}, digits


def _cell(record: dict[str, Any] | None, names: tuple[str, str, str], sign: bool) -> Cell | None:
    if record is None or math.isnan(record[names[0]]):
        return None
    scaled, digits = _scaled(record, names)
    detail = (
        f"n = {record['n']:,} answers to {record['n_questions']:,} questions, {plural(record['countries'], 'steered country')}"
    )
    return number_cell(scaled, digits, names=names, sign=sign, detail=detail)


def _notes(cells: pd.DataFrame, options: TableOptions) -> tuple[str, ...]:
    kinds = set(cells["interval"])
    notes = [
        "n: answers in a cell of the row, one for each question and steered country.",
        "Scores by lm-eval; acc (that of our own questions, too) and exact_match in percent.",
    ]
    if "bootstrap" in kinds:
        notes.append(
            f"Brackets: {options.brackets()}, the same ones before and after; "
            "a change of 0 with bounds of 0: no answer changed its worth."
        )
    if "lm-eval" in kinds:
        scores = cells[cells["interval"] == "lm-eval"].drop_duplicates(LINE)
        names = ", ".join(title(str(q), str(m)) for q, m in scores[["questions", "metric"]].itertuples(index=False))
        notes.append(
            f"{names}: no mean of single answers, so the {options.level} interval is a normal one from lm-eval's own standard "
            "errors, as if before and after had been asked independently."
        )
    if "random" in set(cells["method"]):
        notes.append("Random: a random direction that moves the residual stream as far as the strongest of the vectors.")
    return tuple(notes)


def finding_lines(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each kind of question the baseline and each method's change, as printed."""
    lines: list[dict[str, Any]] = []
    for _, part in cells.groupby(LINE, sort=False):
        before, *steered = records(part)
        changes = []
        for record in steered:
            scaled, digits = _scaled(record, CHANGE)
            changes.append((record["method"], with_interval(scaled, digits, names=CHANGE, sign=True)))
        scaled, digits = _scaled(before, VALUE)
        names = {"title": title(before["questions"], before["metric"]), "about": ABOUT[before["about"]]}
        lines.append({**names, "baseline": number(scaled["value"], digits), "changes": changes})
    return lines


def title(questions: str, metric: str) -> str:
    """Return the name of the questions, with the metric if that is not plain."""
    return _OWN.get(questions, f"{questions}, {metric}")


def in_percent(metric: str) -> bool:
    """Return whether a metric is printed in percent."""
    return metric.startswith(("acc", "exact_match")) or metric.endswith("_acc")


@rc_context(style.STYLE)
def knowledge_changes(cells: pd.DataFrame, note: str = "") -> Figure:
    """Draw changes from the baseline with intervals: a panel for each kind of question, a band for each relation of countries.

    Args:
        cells: from ``knowledge_cells``.
        note: sentence printed under the figure.
    """
    steered = cells[cells["method"] != "baseline"]
    methods = ordered("method", steered["method"])
    panels = list(steered.groupby(["questions", "metric"], sort=False))
    columns = min(PANELS, len(panels))
    rows = -(-len(panels) // columns)
    bands = int(steered.groupby(["questions", "metric"], sort=False)["about"].nunique().max())
    figure = style.new_figure(3.6 * columns + 1.2, (0.17 * (len(methods) + GAP) * bands + 0.75) * rows + 0.9)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, ((questions, metric), part) in zip(grid.flat, panels, strict=False):
        _panel(axes, part, methods)
        axes.set_title(title(str(questions), str(metric)))
        axes.set_xlabel(f"change from the baseline{' (percentage points)' if in_percent(str(metric)) else ''}")
    style.legend_below(figure, [style.method_handle(method) for method in methods], width=1.1)
    count = int(cells["countries"].max())
    style.frame_texts(figure, f"General knowledge under steering, {plural(count, 'steered country')}", note)
    return figure


def _panel(axes: Axes, part: pd.DataFrame, methods: list[str]) -> None:
    scale = 100.0 if in_percent(str(part["metric"].iloc[0])) else 1.0
    ticks, names = [], []
    for band, (about, line) in enumerate(part.groupby("about", sort=False)):
        top = band * (len(methods) + GAP)
        ticks.append(top + (len(methods) - 1) / 2)
        names.append(ABOUT[str(about)].replace(" of its ", "\nof its "))
        for record in records(line):
            style.interval_dot(
                axes, record, top + methods.index(record["method"]), record["method"], names=CHANGE, scale=scale, size=5
            )
    axes.axvline(0, color=style.colour("baseline"), linewidth=0.9, linestyle=":", zorder=0)
    axes.set_yticks(ticks, names)
    axes.set_ylim(len(ticks) * (len(methods) + GAP) - GAP - 0.3, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


if __name__ == "__main__":
    run(main)
