"""The numbers, the table and the finding of the ablations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from yapo.evaluation.bootstrap import differences, intervals, resampled_means
from yapo.evaluation.metrics import mean_over
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import number, number_cell, plural, score_digits
from yapo.reporting.render import MINUS, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table

NAME = "ablations"
DEFAULT, UNSTEERED = "default", "unsteered"
CELL = ["task", "method", "change"]
# What is measured of every item, by multiplier; the direction is part of the name.
MEASURES = ("score", "score_reversed", "loss", "loss_reversed", "displacement")
CHANGE = ("change_value", "change_low", "change_high")
_SIZES = ["l0", "difference", "explained_variance", "sae_l0"]


def ablation_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return means over countries, each counted once, of every measure of every variant, and differences from the default.

    Args:
        rows: rows of the stage ``ablations``, of all countries and methods.
        options: resamples, confidence and seed.

    Returns:
        ``CELL`` and ``measure`` (``MEASURES``; ``reversed`` is λ = -1; multiple-choice scores in percent), then ``value, low,
        high``, ``change_value, change_low, change_high`` from resamples that draw the same facts for both, ``n``, ``n_facts``,
        ``parse_failure_rate``, ``seeds``, and the means of ``l0``, ``difference``, ``explained_variance``, ``sae_l0``.
        The unsteered model has scores alone, the same forwards and backwards, under every method.
    """
    percent = rows["task"].map({"mcq": 100.0, "open_ended": 1.0})
    place = rows[[*CELL, "country", "seed", "question_id", "parsed", *_SIZES]]
    forward, back, plain = (rows["multiplier"] == m for m in (1.0, -1.0, 0.0))
    parts = {
        "score": (forward | plain, percent * rows["score"]),
        "score_reversed": (back | plain, percent * rows["score"]),
        "loss": (forward, rows["loss"]),
        "loss_reversed": (back, rows["loss"]),
        "displacement": (forward, rows["displacement"]),
    }
    long = pd.concat([place[chosen].assign(measure=name, score=values[chosen]) for name, (chosen, values) in parts.items()])
    keys = [*CELL, "measure"]
    by_country = [*keys, "country"]
    draws = resampled_means(long, by_country, resamples=options.resamples, seed=options.seed)
    draws = mean_over(draws, "country", ["task"])
    base = draws.reindex(pd.MultiIndex.from_tuples([(t, m, DEFAULT, name) for t, m, _, name in draws.index], names=keys))
    counts = long.groupby(keys, sort=False).agg(
        n=("score", "count"),
        n_facts=("question_id", "nunique"),
        parse_failure_rate=("parsed", lambda parsed: 1.0 - parsed.astype(float).mean()),
        seeds=("seed", "nunique"),
    )
    sizes = long.groupby(by_country, sort=False)[_SIZES].mean().groupby(level=keys, sort=False).mean()
    scores = draws.index.get_level_values("measure").str.startswith("score")
    most = draws.index.get_level_values("task").map({"mcq": 100.0, "open_ended": 10.0}).where(scores)  # losses have no end
    found = intervals(draws, options.confidence, facts=counts["n_facts"].reindex(draws.index), span=(0.0, most))
    change = differences(draws, base, found, found.reindex(base.index), options.confidence).set_axis(list(CHANGE), axis=1)
    return pd.concat([found, change, counts, sizes], axis=1).reset_index()


def ablation_table(cells: pd.DataFrame, countries: int, changes: Mapping[str, str], setting: str, options: TableOptions) -> Table:
    """Return the table: one line per method and variant, each measure with its difference from the default.

    Args:
        cells: from ``ablation_cells``.
        countries: how many countries they are means over.
        changes: what each variant changes, as text, by its name.
        setting: which questions the vectors were trained on.
        options: see ``TableOptions``.
    """
    at = {tuple(cell[name] for name in [*CELL, "measure"]): cell for cell in records(cells)}
    groups = []
    for task in ordered("task", cells["task"]):
        own, lines = cells[cells["task"] == task], list[TableRow]()
        for method in ordered("method", own["method"]):
            present = list(dict.fromkeys(own.loc[own["method"] == method, "change"]))
            for change in (UNSTEERED, DEFAULT, *(name for name in present if name not in (UNSTEERED, DEFAULT))):
                lines.append(TableRow((label("method", method), change_name(change)), _line(at, (task, method, change))))
        groups.append(Group(label("task", str(task)), tuple(lines)))
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


Records = dict[tuple[Any, ...], dict[str, Any]]


def _line(at: Records, place: tuple[str, ...]) -> tuple[Cell | None, ...]:
    task, _, change = place
    own = {name: at.get((*place, name)) for name in MEASURES}
    cells: list[Cell | None] = []
    for name in MEASURES[:4]:
        digits = score_digits(task) if name.startswith("score") else 3
        compared = None if change in (DEFAULT, UNSTEERED) else own[name]
        cells += [_value(own[name], digits), number_cell(compared, digits, names=CHANGE, sign=True)]
    score = own["score"]
    assert score is not None
    moved, explained = np.isfinite(score["difference"]) and change != DEFAULT, np.isfinite(score["explained_variance"])
    return (
        *cells,
        number_cell(own["displacement"], 1),
        None if change == UNSTEERED else Cell(f"{score['l0']:,.0f}"),
        Cell(f"{score['difference']:.2g}") if moved else None,
        Cell(f"{number(score['explained_variance'], 3)}, L0 {number(score['sae_l0'], 1)}") if explained else None,
        Cell(f"{score['n']:,} ({score['n_facts']} facts)"),
    )


def _value(cell: dict[str, Any] | None, digits: int) -> Cell | None:
    printed = number_cell(cell, digits)
    if cell is None or printed is None or not cell["measure"].startswith("score") or not cell["parse_failure_rate"] > 0:
        return printed
    return replace(printed, failures=f"{100 * cell['parse_failure_rate']:.1f}% unparsed")


def finding_values(cells: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of ``finding.md.j2``, by task and method.

    Args:
        cells: from ``ablation_cells``.
    """
    runs = []
    for task in ordered("task", cells["task"]):
        for method in ordered("method", cells.loc[cells["task"] == task, "method"]):
            own = records(cells[(cells["task"] == task) & (cells["method"] == method)])
            at = {(cell["change"], cell["measure"]): cell for cell in own}
            changed = [
                {**cell, "name": change_name(cell["change"]).lower()}
                for cell in own
                if cell["change"] not in (DEFAULT, UNSTEERED)
            ]
            runs.append(
                {
                    "task": task,
                    "method": method,
                    "digits": score_digits(task),
                    "unsteered": at[UNSTEERED, "score"]["value"],
                    "up": at[DEFAULT, "score"]["value"],
                    "down": at[DEFAULT, "score_reversed"]["value"],
                    "gain": _gain(at[UNSTEERED, "score"]),
                    "gain_reversed": _gain(at[UNSTEERED, "score_reversed"]),
                    "changes": [
                        (multiplier, [cell for cell in changed if cell["measure"] == measure and _excludes_0(cell)])
                        for multiplier, measure in ((1, "score"), (-1, "score_reversed"))
                    ],
                    "same": [c["name"] for c in changed if c["measure"] == "score" and c["difference"] < 1e-3],
                }
            )
    return {"runs": runs, "seeds": int(cells["seeds"].max())}


def _gain(unsteered: dict[str, Any]) -> dict[str, float]:
    """Return the default's difference from the unsteered model, which has its difference from the default."""
    value, low, high = (unsteered[name] for name in CHANGE)
    return {"value": 0.0 - value, "low": 0.0 - high, "high": 0.0 - low}


def _excludes_0(cell: dict[str, Any]) -> bool:
    return bool(cell["change_low"] > 0 or cell["change_high"] < 0)
