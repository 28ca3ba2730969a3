"""What the λ sweep says, in words made from its numbers."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.reporting.tables import TableOptions
from yapo.reporting.words import counted
from yapo.studies.lambda_sweep.table import CONTROL, NAME, best_multipliers, gold_gap, printed_multiplier, sweep_cells

LIMITS = (
    "All of it is on validation questions, the ones on which epoch and λ were chosen; the test questions are not for sweeps.",
    "Log-probability under the unsteered model also falls when the model says what it is steered to say; compare it with that "
    "of the right answers, given in the table's notes. Trigrams of short answers hardly ever repeat unless the text loops.",
)


def lambda_sweep_finding(rows: pd.DataFrame, options: TableOptions, figures: tuple[str, ...]) -> Finding:
    """The study as the report shows it.

    Args:
        rows: rows of the stage ``lambda_sweep``, of all countries.
        options: see ``TableOptions``.
        figures: names of its figures.
    """
    ends = [printed_multiplier(value) for value in (rows["multiplier"].min(), rows["multiplier"].max())]
    return Finding(
        name=NAME,
        title="All multipliers",
        question=f"How do all methods behave from λ = {ends[0]} to {ends[1]}, and what does it cost in coherence?",
        reading=lambda_sweep_reading(rows, options),
        limits=LIMITS,
        tables=(NAME,),
        figures=figures,
    )


def lambda_sweep_reading(rows: pd.DataFrame, options: TableOptions) -> str:
    """Does λ = 1 break an answer, does a negative λ help too, and where does the best λ lie: by task, on non-localized questions.

    One sentence says what λ = 1 costs on localized ones. The vectors are those trained on non-localized questions, or the first
    that the study has.
    """
    settings = ordered("setting", rows["setting"])
    setting = "nonlocalized" if "nonlocalized" in settings else settings[0]
    rows = rows[rows["setting"] == setting]
    localized = rows[rows["variant"] == "localized"]
    rows = rows[rows["variant"] == "nonlocalized"]
    cells, best = sweep_cells(rows, options), best_multipliers(rows, options)
    cells = cells[cells["method"] != "baseline"]
    countries = counted(rows["country"].nunique(), "country")
    parts = [
        f"On non-localized questions, with vectors trained on {label('setting', setting).lower()} ones, mean over "
        f"{countries} (n = {cells['n'].max()} answers of {cells['n_facts'].max()} facts at each "
        "point). A λ raises or lowers a score where the interval of the change excludes 0, and leaves it where the interval "
        "covers 0: no change can then be told."
    ]
    gold = gold_gap(rows).groupby("task").mean()
    ends = (float(rows["multiplier"].min()), float(rows["multiplier"].max()))
    losses = sweep_cells(localized, options) if len(localized) else cells.head(0)
    for task in ordered("task", cells["task"]):
        own = cells[cells["task"] == task]
        scores = own[own["measure"] == "score"]
        base = (scores["value"] - scores["change"]).iloc[0]
        parts += [
            f"{label('task', task)} (unsteered {base:.{_digits(task)}f}{'%' if task == 'mcq' else ''}).",
            f"Best λ: {_where(best[best['task'] == task], ends)}.",
            f"λ = 1 {_effect(scores[scores['multiplier'] == 1.0])}.",
            f"λ = {MINUS}1 {_effect(scores[scores['multiplier'] == -1.0])}.",
            _failures(own[own["measure"] == "unparsed"]),
            _losers(losses[losses["task"] == task]),
            _costs(own[own["multiplier"] == 1.0], float(gold[task])),
        ]
    return "\n".join(part for part in parts if part)


def _where(best: pd.DataFrame, ends: tuple[float, float]) -> str:
    """Best λ by method; says so where it is the lowest or the highest of the grid."""
    told = []
    for row in _methods(best):
        spread = (
            ""
            if math.isnan(row["best_low"])
            else f" [{printed_multiplier(row['best_low'])}, {printed_multiplier(row['best_high'])}]"
        )
        end = " (the end of the grid: no maximum found)" if row["best"] in ends else ""
        told.append(f"{label('method', row['method'])} {printed_multiplier(row['best'])}{spread}{end}")
    return ", ".join(told)


def _losers(cells: pd.DataFrame) -> str:
    """The methods that lose on localized questions at λ = 1."""
    at_one = cells[(cells["multiplier"] == 1.0) & (cells["measure"] == "score")]
    if at_one.empty:
        return ""
    lost = []
    for cell in _methods(at_one):
        if cell["change_high"] < 0:
            numbers = [f"{cell[name]:+.{_digits(cell['task'])}f}" for name in ("change", "change_low", "change_high")]
            value, low, high = (text.replace("-", MINUS) for text in numbers)
            lost.append(f"{label('method', cell['method'])} ({value} [{low}, {high}])")
    told = f"lowers {', '.join(lost)}" if lost else "lowers no method, as far as can be told"
    return f"On localized questions λ = 1 {told}."


def _effect(cells: pd.DataFrame) -> str:
    """Which methods it raises, lowers and leaves; it leaves those whose interval of the change covers 0."""
    if cells.empty:
        return "was not measured"
    groups: dict[str, list[str]] = {"raises": [], "lowers": [], "leaves": []}
    for cell in _methods(cells):
        effect = "raises" if cell["change_low"] > 0 else "lowers" if cell["change_high"] < 0 else "leaves"
        change = f"{cell['change']:+.{_digits(cell['task'])}f}".replace("-", MINUS)
        groups[effect].append(f"{label('method', cell['method'])} ({change})")
    told = [f"{effect} {', '.join(names)}" for effect, names in groups.items() if names]
    return "; ".join(told if groups["raises"] else ["raises no method", *told])


def _failures(cells: pd.DataFrame) -> str:
    """The highest share of completions that could not be read."""
    worst = records(cells.sort_values("value", ascending=False, kind="stable").head(1))[0]
    if worst["value"] == 0:
        return "Every completion of the grid could be read."
    where = f"{label('method', worst['method'])}, λ = {printed_multiplier(worst['multiplier'])}"
    return f"Parse failures reach {worst['value']:.1f}% ({where})."


def _costs(cells: pd.DataFrame, gold: float) -> str:
    """Log-probability lost at λ = 1, and where that is more than saying the right answers would cost."""
    lost = cells[cells["measure"] == "log_prob"]
    if lost.empty:
        return "Coherence at λ = 1 was not measured."
    told = [f"{label('method', c['method'])} {c['change']:+.2f}".replace("-", MINUS) for c in _methods(lost)]
    broken = [label("method", cell["method"]) for cell in _methods(lost) if cell["change_high"] < min(gold, 0.0)]
    verdict = f"beyond it, and so at the cost of coherence: {', '.join(broken)}" if broken else "no method goes beyond it"
    price = f"{gold:+.2f}".replace("-", MINUS)
    return f"Log-probability per token at λ = 1: {', '.join(told)}; right answers would cost {price}; {verdict}."


def _methods(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows in display order, the control last."""
    found = {str(row["method"]): row for row in records(cells)}
    names = [name for name in ordered("method", found) if name != CONTROL]
    return [found[name] for name in [*names, *([CONTROL] if CONTROL in found else [])]]


def _digits(task: str) -> int:
    return 1 if task == "mcq" else 2
