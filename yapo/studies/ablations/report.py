"""Report of ``ablations``: the ablations over all their countries and methods, as table, figure and finding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.checks import TASKS, Setting, Task, one_of
from yapo.config import Config
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import change_cell, counts_cell, failed, number, number_cell, plural, score_digits
from yapo.reporting.render import MINUS, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.means import Records, by_key, country_means, failure_rate, highest_scores, printed_scores, with_changes
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.ablations")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "ablations"
DEFAULT, UNSTEERED = "default", "unsteered"
CELL = ["task", "method", "change"]
# Measures of every item, by multiplier; the direction is part of the name.
MEASURES = ("score", "score_reversed", "loss", "loss_reversed", "displacement")
CHANGE = ("change_value", "change_low", "change_high")
_SIZES = ["l0", "difference", "explained_variance", "sae_l0"]
_PANELS = {
    "score": "Score at λ = 1",
    "score_reversed": f"Score at λ = {MINUS}1",
    "loss": "Loss at d = 1",
    "loss_reversed": f"Loss at d = {MINUS}1",
}


def main(config: Config) -> None:
    """Write ``tables/ablations.*``, ``figures/ablations.*`` and ``studies/ablations.json``."""
    rows, settings, options = read_rows(config, NAME), config.studies.ablations, table_options(config)
    changes = {name: ", ".join(f"{key}={value}" for key, value in part.items()) for name, part in settings.changes.items()}
    cells = ablation_cells(rows, options)
    table = ablation_table(cells, rows["country"].nunique(), changes, settings.setting, options)
    figure = ablations_figure(cells, options.note)
    write_report(config, NAME, FINDING, finding_values(cells), {NAME: table}, {NAME: figure})


def ablation_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return means over countries of every measure of every variant, and differences from the default.

    Args:
        rows: rows of the stage ``ablations``, of all countries and methods.
        options: resamples, confidence and seed.

    Returns:
        ``CELL``, ``measure`` (``MEASURES``; ``reversed`` is λ = -1), then ``value, low, high``, ``CHANGE``, ``n``, ``n_facts``,
        ``parse_failure_rate``, ``seeds``, and the means of ``l0``, ``difference``, ``explained_variance``, ``sae_l0``.
        The unsteered model has scores alone, the same forwards and backwards, under every method.
    """
    place = rows[[*CELL, "country", "seed", "question_id", "parsed", *_SIZES]]
    forward, back, plain = (rows["multiplier"] == m for m in (1.0, -1.0, 0.0))
    scores = printed_scores(rows)
    parts = {
        "score": (forward | plain, scores),
        "score_reversed": (back | plain, scores),
        "loss": (forward, rows["loss"]),
        "loss_reversed": (back, rows["loss"]),
        "displacement": (forward, rows["displacement"]),
    }
    long = pd.concat([place[chosen].assign(measure=name, score=values[chosen]) for name, (chosen, values) in parts.items()])
    keys = [*CELL, "measure"]
    draws = country_means(long, keys, options, within=["task"])
    counts = long.groupby(keys, sort=False).agg(
        n=("score", "count"),
        n_facts=("question_id", "nunique"),
        parse_failure_rate=("parsed", failure_rate),
        seeds=("seed", "nunique"),
    )
    sizes = long.groupby([*keys, "country"], sort=False)[_SIZES].mean().groupby(level=keys, sort=False).mean()
    base = pd.MultiIndex.from_tuples([(task, method, DEFAULT, name) for task, method, _, name in draws.index], names=keys)
    top = highest_scores(draws).where(draws.index.get_level_values("measure").str.startswith("score"))  # losses have no end
    found = with_changes(draws, base, options, facts=counts["n_facts"], top=top, names=CHANGE)
    return pd.concat([found, counts, sizes], axis=1).reset_index()


def ablation_table(
    cells: pd.DataFrame, countries: int, changes: Mapping[str, str], setting: Setting, options: TableOptions
) -> Table:
    """Return the table: one line per method and variant, each measure with its difference from the default.

    Args:
        cells: from ``ablation_cells``.
        countries: how many countries they are means over.
        changes: what each variant changes, as text, by its name.
        setting: which questions the vectors were trained on.
        options: see ``TableOptions``.
    """
    at = by_key(cells, [*CELL, "measure"])
    groups = []
    for task in ordered("task", cells["task"]):
        of_task, lines = cells[cells["task"] == task], list[TableRow]()
        for method in ordered("method", of_task["method"]):
            present = list(dict.fromkeys(of_task.loc[of_task["method"] == method, "change"]))
            for change in (UNSTEERED, DEFAULT, *(name for name in present if name not in (UNSTEERED, DEFAULT))):
                lines.append(TableRow((label("method", method), change_name(change)), _line(at, (task, method, change))))
        groups.append(Group(label("task", task), tuple(lines)))
    what = "; ".join(f"{change_name(name)}: {text}" for name, text in changes.items())
    sheet = Sheet(
        name=NAME,
        title="Ablations",
        caption=(
            f"Vectors trained on {label('setting', setting).lower()} questions in the experiment's way and with one change each, "
            f"after the last epoch, on validation: {plural(countries, 'country')}, "
            f"{plural(int(cells['seeds'].max()), 'seed')}. Scores: {options.scores(cells['task'])}."
        ),
        notes=(
            f"Values: mean over countries, each counted once, and seeds. Brackets: {options.brackets()}; "
            "± columns: difference from the default, same resamples.",
            f"Loss: preference loss of the validation pairs at λ = 1 and d = 1, and at λ = {MINUS}1 and d = {MINUS}1; always "
            "with the experiment's β.",
            "L0: entries or features that the vector touches. Vector moved: norm of its difference from the default vector of "
            "the same seed, as a share of the default's norm. SAE: explained variance and active features per token, same pairs.",
            *([f"Changes. {what}."] if what else []),
        ),
        heads=("Method", "Change"),
        columns=(
            "Score at λ = 1", "±", f"Score at λ = {MINUS}1", "±", "Loss", "±", f"Loss at d = {MINUS}1", "±", "Displacement", "L0",
            "Vector moved", "SAE", "n",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, cells, options.note)


def change_name(change: str) -> str:
    """Return the name of a variant as shown."""
    return change.replace("_", " ").capitalize()


def _line(at: Records, key: tuple[Task, str, str]) -> tuple[Cell | None, ...]:
    task, _, change = key
    measured = {name: at.get((*key, name)) for name in MEASURES}
    cells: list[Cell | None] = []
    for name in MEASURES[:4]:
        scored, record = name.startswith("score"), measured[name]
        digits = score_digits(task) if scored else 3
        compared = None if change in (DEFAULT, UNSTEERED) else record
        failures = failed(record["parse_failure_rate"]) if scored and record else ""
        cells += [number_cell(record, digits, failures=failures), change_cell(compared, digits, CHANGE)]
    score = measured["score"]
    assert score is not None
    moved, explained = np.isfinite(score["difference"]) and change != DEFAULT, np.isfinite(score["explained_variance"])
    return (
        *cells,
        number_cell(measured["displacement"], 1),
        None if change == UNSTEERED else Cell(f"{score['l0']:,.0f}"),
        Cell(f"{score['difference']:.2g}") if moved else None,
        Cell(f"{number(score['explained_variance'], 3)}, L0 {number(score['sae_l0'], 1)}") if explained else None,
        counts_cell(score),
    )


def finding_values(cells: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of ``finding.md.j2``, by task and method."""
    runs = []
    for (task, method), part in in_order(cells, ["task", "method"]).groupby(["task", "method"], sort=False):
        found = records(part)
        at = {(record["change"], record["measure"]): record for record in found}
        changed = [
            {**record, "name": change_name(record["change"]).lower()}
            for record in found
            if record["change"] not in (DEFAULT, UNSTEERED)
        ]
        clear = [record for record in changed if record["change_low"] > 0 or record["change_high"] < 0]
        runs.append(
            {
                "task": task,
                "method": method,
                "digits": score_digits(one_of("task", task, TASKS)),
                "unsteered": at[UNSTEERED, "score"]["value"],
                "up": at[DEFAULT, "score"]["value"],
                "down": at[DEFAULT, "score_reversed"]["value"],
                "gain": _gain(at[UNSTEERED, "score"]),
                "gain_reversed": _gain(at[UNSTEERED, "score_reversed"]),
                "changes": [
                    (multiplier, [record for record in clear if record["measure"] == measure])
                    for multiplier, measure in ((1, "score"), (-1, "score_reversed"))
                ],
                "same": [record["name"] for record in changed if record["measure"] == "score" and record["difference"] < 1e-3],
            }
        )
    return {"runs": runs, "seeds": int(cells["seeds"].max())}


def _gain(unsteered: dict[str, Any]) -> dict[str, float]:
    """Return the default's difference from the unsteered model, which has its difference from the default."""
    value, low, high = (unsteered[name] for name in CHANGE)
    return {"value": 0.0 - value, "low": 0.0 - high, "high": 0.0 - low}


@rc_context(style.STYLE)
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
    figure = style.new_figure(11.0, (0.33 * max(1, len(names)) + 0.9) * len(tasks) + 1.2)
    grid = figure.subplots(len(tasks), len(_PANELS), squeeze=False, sharey=True)
    for task, line in zip(tasks, grid, strict=True):
        for (measure, title), axes in zip(_PANELS.items(), line, strict=True):
            axes.axvline(0, color=style.SOFT, linewidth=1.0)
            axes.grid(axis="y", visible=False)
            for record in records(changed[(changed["task"] == task) & (changed["measure"] == measure)]):
                shift = (methods.index(record["method"]) - (len(methods) - 1) / 2) * 0.26
                style.interval_dot(axes, record, names.index(record["change"]) + shift, record["method"], names=CHANGE)
            unit = f", {style.score_name(task)}" if measure.startswith("score") and task == "mcq" else ""
            axes.set_title(f"{title}{unit}")
            if task == tasks[-1]:
                axes.set_xlabel("Difference from the default")
            if not names:
                style.blank(axes, "no variants")
        style.name_lines(line[0], [change_name(name) for name in names])
        if len(tasks) > 1:
            line[0].set_ylabel(label("task", task))
    style.legend_below(figure, [style.method_handle(method, linestyle="") for method in methods])
    style.frame_texts(
        figure, "One change at a time, validation", "Bars: bootstrap intervals of the difference, over facts.", note
    )
    return figure


if __name__ == "__main__":
    run(main)
