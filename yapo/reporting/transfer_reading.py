"""What the transfer study says, in words made from its numbers."""

from __future__ import annotations

from typing import Any

from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.reporting.transfer import NAME, OVERALL, RELATIONS, TransferCells

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
    )


def transfer_reading(cells: TransferCells) -> str:
    """Changes by each kind of vector on non-localized questions, and whose answers are given; mean over all countries."""
    data = cells.languages
    data = data[(data["language"] == OVERALL) & (data["variant"] == "nonlocalized")]
    at = {(cell["task"], cell["method"], cell["relation"], cell["measure"]): cell for cell in records(data)}
    asked = cells.pairs["country"].nunique()
    parts = [
        f"On non-localized test questions, mean over {asked} countr{'y' if asked == 1 else 'ies'}. "
        f"Changes by ({' | '.join(RELATIONS)}) vectors, where left out is one vector of all other countries of the language."
    ]
    for task in ordered("task", data["task"]):
        base = at[task, "baseline", "none", "score"]
        unsteered = f"unsteered {base['value']:.{_digits(task)}f}{'%' if task == 'mcq' else ''}"
        methods = [m for m in ordered("method", data["method"]) if (task, m, "own", "change") in at]
        told = []
        for method in methods:
            changes = [at.get((task, method, relation, "change")) for relation in RELATIONS]
            shown = " | ".join("–" if cell is None else _signed(cell, _digits(task)) for cell in changes)
            told.append(f"{label('method', method)} {shown}")
        parts.append(f"{label('task', task)} ({unsteered}): {'; '.join(told)}.")
        parts += _whose(at, task, methods)
    return "\n".join(parts)


def _whose(at: dict[tuple[str, str, str, str], dict[str, Any]], task: str, methods: list[str]) -> list[str]:
    """Whose answers siblings' vectors bring: a share of one side is named the larger where the intervals do not overlap."""
    sides: dict[str, list[str]] = {"the vector's country": [], "the country asked": [], "neither more than the other": []}
    for method in methods:
        theirs, own = (at.get((task, method, "same language", measure)) for measure in ("adopted", "exact"))
        if theirs is None or own is None:
            continue
        more = "neither more than the other"
        if theirs["low"] > own["high"]:
            more = "the vector's country"
        elif own["low"] > theirs["high"]:
            more = "the country asked"
        before = at[task, method, "same language", "adopted_before"]["value"]
        shares = f"{theirs['value']:.0f}% the vector's country's, {before:.0f}% before; {own['value']:.0f}% the asked one's"
        sides[more].append(f"{label('method', method)} ({shares})")
    told = [f"{side}: {', '.join(names)}" for side, names in sides.items() if names]
    return [f"Under vectors of the same language answers are more often those of {'; '.join(told)}."] if told else []


def _signed(cell: dict[str, Any], digits: int) -> str:
    value, low, high = (f"{cell[name]:+.{digits}f}".replace("-", MINUS) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _digits(task: str) -> int:
    return 1 if task == "mcq" else 2
