"""What the ablations say, in words made from their numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.studies.ablations.table import DEFAULT, NAME, UNSTEERED, change_name, signed

LIMITS = (
    f"All is measured on validation questions after the last epoch, at λ = 1 and λ = {MINUS}1; nothing is tuned again after a "
    "change: a variant that would profit from another learning rate, epoch or λ does not show it here.",
    "Intervals resample facts; seeds and countries are few and are averaged over. Among so many changes some interval excludes 0 "
    "by chance.",
    "Autoencoders trained for a variant are compared best with one another: the default's was trained in another way.",
)


def ablations_finding(cells: pd.DataFrame, figures: tuple[str, ...]) -> Finding:
    """The study as the report shows it.

    Args:
        cells: what ``ablation_cells`` makes.
        figures: names of its figures.
    """
    return Finding(
        name=NAME,
        title="Ablations",
        question=(
            "Which parts of the training matter: both directions, what follows the addition, the features trained, β, the number "
            "of pairs, the start, the width of the autoencoder?"
        ),
        reading=ablations_reading(cells),
        limits=LIMITS,
        tables=(NAME,),
        figures=figures,
    )


def ablations_reading(cells: pd.DataFrame) -> str:
    """For every task and method: whether λ = -1 works backwards, which changes matter, and of which nothing can be told."""
    seeds = int(cells["seeds"].max())
    parts = [f"Each variant with {seeds} {'seeds' if seeds > 1 else 'seed'}; a change counts where its interval excludes 0."]
    for task in ordered("task", cells["task"]):
        for method in ordered("method", cells.loc[cells["task"] == task, "method"]):
            own = cells[(cells["task"] == task) & (cells["method"] == method)]
            parts.append(f"{label('method', method)}, {label('task', task).lower()}: {_default(own, task)}.")
            parts += [_effects(own, "score", "λ = 1", task), _effects(own, "score_reversed", f"λ = {MINUS}1", task)]
            parts += [_nothing(own), _unchanged(own)]
    return "\n".join(part for part in parts if part)


def _default(cells: pd.DataFrame, task: str) -> str:
    """The default both ways, against the unsteered model."""
    digits = 1 if task == "mcq" else 2
    at = {(cell["change"], cell["measure"]): cell for cell in records(cells)}
    up, down = at[DEFAULT, "score"], at[DEFAULT, "score_reversed"]
    base, base_reversed = at[UNSTEERED, "score"], at[UNSTEERED, "score_reversed"]
    told = f"unsteered {base['value']:.{digits}f}, λ = 1 {up['value']:.{digits}f}, λ = {MINUS}1 {down['value']:.{digits}f}"
    # Both are differences of the unsteered model from the default, over the same facts.
    if _sign(base) < 0 < _sign(base_reversed):
        return f"{told}: it works both ways"
    return f"{told}: forwards it {_from_unsteered(base, digits)}, backwards it {_from_unsteered(base_reversed, digits)}"


def _from_unsteered(base: dict[str, Any], digits: int) -> str:
    """What the default does to the unsteered model's score, ``base``: as far as the interval of the difference tells."""
    value, low, high = (signed(0.0 - base[name], digits) for name in ("change_value", "change_high", "change_low"))
    effect = {-1: "raises the score", 1: "lowers it", 0: "makes no difference that can be told from 0"}[_sign(base)]
    return f"{effect} ({value} [{low}, {high}])"


def _effects(cells: pd.DataFrame, measure: str, where: str, task: str) -> str:
    """Which changes raise or lower a score."""
    digits = 1 if task == "mcq" else 2
    groups: dict[str, list[str]] = {"raise": [], "lower": []}
    for cell in _changes(cells, measure):
        effect = {1: "raise", -1: "lower"}.get(_sign(cell))
        if effect:
            groups[effect].append(f"{change_name(cell['change']).lower()} ({signed(cell['change_value'], digits)})")
    told = [f"{', '.join(names)} {effect if len(names) > 1 else effect + 's'} it" for effect, names in groups.items() if names]
    return f"Score at {where}: {'; '.join(told) if told else 'no effect of a change can be told from 0'}."


def _nothing(cells: pd.DataFrame) -> str:
    """Changes after which no difference of either score from the default's can be told."""
    moved = [cell for name in ("score", "score_reversed") for cell in _changes(cells, name) if _sign(cell)]
    names = {cell["change"]: None for cell in _changes(cells, "score")}
    left = [change_name(name).lower() for name in names if name not in {cell["change"] for cell in moved}]
    return f"No effect on either score can be told from 0 with {', '.join(left)}." if left else ""


def _sign(cell: dict[str, Any]) -> int:
    """1 where the whole interval of a change lies above 0, -1 where it lies below, else 0."""
    return int(cell["change_low"] > 0) - int(cell["change_high"] < 0)


def _unchanged(cells: pd.DataFrame) -> str:
    """Changes that leave the vector as it was, up to rounding."""
    same = [cell for cell in _changes(cells, "score") if cell["difference"] < 1e-3]
    if not same:
        return ""
    told = ", ".join(f"{change_name(cell['change']).lower()} (difference {cell['difference']:.1g} of its norm)" for cell in same)
    return f"The same vector up to rounding: {told}."


def _changes(cells: pd.DataFrame, measure: str) -> list[dict[str, Any]]:
    return records(cells[(cells["measure"] == measure) & ~cells["change"].isin([DEFAULT, UNSTEERED])])
