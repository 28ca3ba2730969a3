"""What the transfer study says, in words made from its numbers."""

from __future__ import annotations

from typing import Any

from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.studies.transfer.table import NAME, OVERALL, PAIRS, RELATIONS, TransferCells

LIMITS = (
    "Countries of a language share its questions, so a vector may move a sibling's score by moving away from the default "
    "answer alone; the shares of exact answers tell the two apart.",
    "Other languages are tried on fewer facts, and the answers of a country of another language cannot be recognised.",
)


def transfer_finding(cells: TransferCells, figures: tuple[str, ...]) -> Finding:
    """The study as the report shows it.

    Args:
        cells: what ``transfer_cells`` makes.
        figures: names of its figures.
    """
    return Finding(
        name=NAME,
        title="Transfer between countries",
        question="Does a vector trained for one country help another, of its language or not, and whose answers does it bring?",
        reading=transfer_reading(cells),
        limits=LIMITS,
        tables=(NAME,),
        figures=figures,
        pages=(f"tables/{PAIRS}.html",),  # the figures' numbers, hundreds of lines
    )


def transfer_reading(cells: TransferCells) -> str:
    """Changes by each kind of vector on non-localized questions, and whose answers are given; mean over all countries."""
    data = cells.languages
    data = data[(data["language"] == OVERALL) & (data["variant"] == "nonlocalized")]
    at = {(cell["task"], cell["method"], cell["relation"], cell["measure"]): cell for cell in records(data)}
    asked = cells.pairs["country"].nunique()
    parts = [
        f"On non-localized test questions, mean over {asked} countr{'y' if asked == 1 else 'ies'}. "
        f"Changes by ({' | '.join(RELATIONS)}) vectors, where left out is one vector of all other countries of the language; "
        "n: answers, to how many facts, in the same order."
    ]
    for task in ordered("task", data["task"]):
        base = at[task, "baseline", "none", "score"]
        unsteered = f"unsteered {base['value']:.{_digits(task)}f}{'%' if task == 'mcq' else ''}"
        methods = [m for m in ordered("method", data["method"]) if (task, m, "own", "change") in at]
        told, asked_of = [], []
        for relation in RELATIONS:
            cell = next((at[key] for method in methods if (key := (task, method, relation, "change")) in at), None)
            asked_of.append("–" if cell is None else f"{cell['n']:,} of {cell['n_facts']}")
        for method in methods:
            changes = [at.get((task, method, relation, "change")) for relation in RELATIONS]
            shown = " | ".join("–" if cell is None else _signed(cell, _digits(task)) for cell in changes)
            told.append(f"{label('method', method)} {shown}")
        counts = f"n = {' | '.join(asked_of)} facts"
        parts.append(f"{label('task', task)} ({unsteered}; {counts}): {'; '.join(told)}.")
        parts += _whose(at, task, methods)
    return "\n".join(parts)


def _whose(at: dict[tuple[str, str, str, str], dict[str, Any]], task: str, methods: list[str]) -> list[str]:
    """Whose answers siblings' vectors bring, where the interval of the difference on the same questions excludes 0."""
    sides: dict[str, list[str]] = {"the vector's country": [], "the country asked": [], "neither, as far as can be told": []}
    counts = ""
    for method in methods:
        theirs, own, lead, before = (
            at.get((task, method, "same language", name)) for name in ("adopted", "kept", "lead", "adopted_before")
        )
        if theirs is None or own is None or lead is None or before is None:
            continue
        side = "neither, as far as can be told"
        if lead["low"] > 0:
            side = "the vector's country"
        elif lead["high"] < 0:
            side = "the country asked"
        shares = (
            f"{theirs['value']:.0f}% the vector's country's, {before['value']:.0f}% before; {own['value']:.0f}% the asked one's; "
            f"difference {_signed(lead, 0)}"
        )
        sides[side].append(f"{label('method', method)} ({shares})")
        counts = f"n = {lead['n']:,} answers to {lead['n_facts']} facts"
    told = [f"{side}: {', '.join(names)}" for side, names in sides.items() if names]
    if not told:
        return []
    where = f"Under vectors of the same language, where the two countries' answers differ ({counts})"
    return [f"{where}, answers are more often those of {'; '.join(told)}."]


def _signed(cell: dict[str, Any], digits: int) -> str:
    value, low, high = (f"{cell[name]:+.{digits}f}".replace("-", MINUS) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _digits(task: str) -> int:
    return 1 if task == "mcq" else 2
