"""Report of the study ``reliability``: numbers, table, figure and finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from yapo.checks import TASKS, Setting, one_of
from yapo.config import Config
from yapo.evaluation.bootstrap import intervals
from yapo.reporting import style
from yapo.reporting.cells import TOP, records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import VALUE, change_cell, number, number_cell, plural, score_digits
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.means import country_means, printed_scores
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.reliability.setting")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "reliability"
MEASURES = ("wrong", "right", "gain")
FEWEST = 4  # countries that a rank correlation needs


def main(config: Config) -> None:
    """Write ``tables/reliability.*``, ``figures/reliability.*`` and ``studies/reliability.json``."""
    rows, options, setting = read_rows(config, NAME), table_options(config), config.studies.reliability.setting
    cells, countries = reliability_cells(rows, options), by_country(rows)
    values = {"setting": setting, "countries": rows["country"].nunique(), "tasks": finding_values(cells, countries)}
    tables = {NAME: reliability_table(cells, countries, setting, options)}
    figures = {NAME: reliability_figure(countries, setting, options.note)}
    write_report(config, NAME, FINDING, values, tables, figures)


def reliability_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return what a vector does to test items, mean over countries.

    Args:
        rows: of the stage ``reliability``, of all countries.
        options: resamples, confidence and seed.

    Returns:
        ``task, method, measure`` (``wrong`` and ``right``: items whose score falls or rises, in percent; ``gain``: change of the
        score, of multiple choice in percent), ``value, low, high, n``.
    """
    frames = []
    for task, part in rows.groupby("task", sort=False):
        gain = gains(part)
        measures = {"wrong": 100.0 * (gain < 0), "right": 100.0 * (gain > 0), "gain": gain}
        long = pd.concat(
            [part[["country", "question_id", "method"]].assign(measure=name, score=values) for name, values in measures.items()]
        )
        draws, most = country_means(long, ["method", "measure"], options), TOP[one_of("task", task, TASKS)]
        kinds = draws.index.get_level_values("measure")
        span = (kinds.map({"wrong": 0.0, "right": 0.0, "gain": -most}), kinds.map({"wrong": 100.0, "right": 100.0, "gain": most}))
        found = intervals(draws, options.confidence, facts=part["question_id"].nunique(), span=span)
        counts = part.groupby("method").size().rename("n")
        frames.append(found.reset_index().join(counts, on="method").assign(task=task))
    return pd.concat(frames, ignore_index=True)


def gains(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the change of each item's score, of multiple choice in percent."""
    return printed_scores(rows.assign(score=rows["score"] - rows["baseline"]))


def by_country(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``agreement``, ``separability`` and ``gain`` of each task, method and country."""
    frame = rows.assign(gain=gains(rows), separability=rows["separability"].astype(float))
    return frame.groupby(["task", "method", "country"], sort=False)[["agreement", "separability", "gain"]].mean().reset_index()


def rank_correlation(countries: pd.DataFrame, measure: str) -> float | None:
    """Return Spearman's correlation of a measure with the gain over countries; None where there are few, or all are alike."""
    pairs = countries[[measure, "gain"]].dropna()
    if len(pairs) < FEWEST or (pairs.nunique() < 2).any():
        return None
    return float(spearmanr(pairs[measure], pairs["gain"]).statistic)


def reliability_table(cells: pd.DataFrame, countries: pd.DataFrame, setting: Setting, options: TableOptions) -> Table:
    """Return the table: a row for each task and method."""
    groups = []
    for task in ordered("task", cells["task"]):
        lines = []
        for method in ordered("method", cells.loc[cells["task"] == task, "method"]):
            at = {record["measure"]: record for record in records(cells[(cells["task"] == task) & (cells["method"] == method)])}
            of_method = countries[(countries["task"] == task) & (countries["method"] == method)]
            means = [_plain(of_method[name].mean()) for name in ("agreement", "separability")]
            ranks = [_plain(rank_correlation(of_method, name)) for name in ("agreement", "separability")]
            shares = [number_cell(at[name], 1) for name in ("wrong", "right")]
            gain = change_cell(at["gain"], score_digits(task), VALUE)
            lines.append(TableRow((label("method", method),), (*shares, gain, *means, *ranks, Cell(f"{at['gain']['n']:,}"))))
        groups.append(Group(label("task", task), tuple(lines)))
    sheet = Sheet(
        name=NAME,
        title="Reliability",
        caption=(
            f"Vectors trained on {label('setting', setting).lower()} questions, on test items: mean over "
            f"{plural(countries['country'].nunique(), 'country')}."
        ),
        notes=(
            "Wrong way, right way: share of test items whose score is below, above that of the unsteered model.",
            "Agreement: mean cosine between the difference of a training pair (chosen minus rejected, mean over the tokens that "
            "predict the answer) and the mean difference; it is the same for all methods. Separability: distance of the two "
            "sides along the vector, in pooled standard deviations (d').",
            "With gain: Spearman's rank correlation with the gain over countries, where there are four or more.",
            f"Brackets: {options.brackets()}.",
        ),
        heads=("Method",),
        columns=(
            "Wrong way (%)", "Right way (%)", "Gain", "Agreement", "Separability", "Agreement with gain",
            "Separability with gain", "n",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, cells, options.note)


@rc_context(style.STYLE)
def reliability_figure(countries: pd.DataFrame, setting: Setting, note: str) -> Figure:
    """Return gain against agreement and separability, one dot a country and method, one row a task."""
    tasks, methods = ordered("task", countries["task"]), ordered("method", countries["method"])
    figure = style.new_figure(7.2, 2.9 * len(tasks) + 0.6)
    for panels, task in zip(figure.subplots(len(tasks), 2, squeeze=False), tasks, strict=True):
        for axes, measure in zip(panels, ("agreement", "separability"), strict=True):
            for method in methods:
                of_method = countries[(countries["task"] == task) & (countries["method"] == method)].dropna(subset=[measure])
                axes.plot(
                    of_method[measure],
                    of_method["gain"],
                    style.marker(method),
                    color=style.colour(method),
                    markersize=4,
                    alpha=0.8,
                )
            axes.axhline(0, color=style.colour("baseline"), linestyle=":", linewidth=1.1, zorder=1)
            axes.set_title(label("task", task))
            axes.locator_params(axis="x", nbins=5)
            axes.set_xlabel("Agreement of pairs (cosine)" if measure == "agreement" else "Separability (d')")
        panels[0].set_ylabel("Gain" + (" (points)" if task == "mcq" else ""))
    style.legend_below(figure, [style.method_handle(method, linestyle="none") for method in methods])
    style.frame_texts(figure, f"Gain and reliability by country, {label('setting', setting).lower()} vectors", note)
    return figure


def finding_values(cells: pd.DataFrame, countries: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what ``finding.md.j2`` prints of each task."""
    found = []
    for task in ordered("task", cells["task"]):
        of_task = in_order(cells[cells["task"] == task], ["method"])
        part = countries[countries["task"] == task]
        ranks = {method: rank_correlation(rows, "separability") for method, rows in part.groupby("method", sort=False)}
        found.append(
            {
                "name": task,
                "n": int(of_task["n"].max()),
                "agreement": float(part["agreement"].mean()),
                "wrong": records(of_task[of_task["measure"] == "wrong"]),
                "ranks": [(m, ranks[m]) for m in ordered("method", part["method"]) if ranks[m] is not None],
            }
        )
    return found


def _plain(value: float | None) -> Cell | None:
    return None if value is None or pd.isna(value) else Cell(number(value))


if __name__ == "__main__":
    run(main)
