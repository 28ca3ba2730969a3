"""What the convergence study says, in words made from its numbers: the paper's claim, at equal step and at equal displacement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from yapo.reporting.convergence import NAME, convergence_cells, score_at, smoothed
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.reporting.tables import TableOptions

# What the paper claims (figure of arXiv 2601.08441): YaPO's loss within so many steps, and BiPO's after so many.
EARLY, LOW = 150, 0.1
LATE, HIGH = 640, 0.34
GRID = 25  # displacements at which two runs are compared

LIMITS = (
    "One setting, few countries and seeds; brackets show the spread of runs, not what other data would give.",
    "A displacement reached early and one reached late may belong to different vectors: at equal displacement, the step at which "
    "a run first gets there counts.",
)


def convergence_finding(
    rows: pd.DataFrame, losses: Sequence[float], window: int, options: TableOptions, figures: tuple[str, ...]
) -> Finding:
    """The study as the report shows it; arguments as for ``convergence_table``."""
    return Finding(
        name=NAME,
        title="Convergence",
        question="Does YaPO converge faster than BiPO at equal learning rate, and does it when both move the model equally far?",
        reading=convergence_reading(rows, losses, window, options),
        limits=LIMITS,
        tables=(NAME,),
        figures=figures,
    )


def convergence_reading(rows: pd.DataFrame, losses: Sequence[float], window: int, options: TableOptions) -> str:
    """Where every method stands early and late, which is ahead at equal displacement, and what answers make of it."""
    runs, cells = smoothed(rows, window), convergence_cells(rows, losses, window, options)
    countries, seeds = rows["country"].nunique(), rows["seed"].nunique()
    parts = [
        f"Runs of {countries} {'countries' if countries > 1 else 'country'} and {seeds} {'seeds' if seeds > 1 else 'seed'}; "
        f"training losses are means over {window} steps, brackets the lowest and highest run."
    ]
    for task in ordered("task", runs["task"]):
        parts.append(f"{label('task', task)}.")
        own = runs[runs["task"] == task]
        for rate in sorted(own["lr"].unique()):
            here = own[own["lr"] == rate]
            parts.append(f"At learning rate {rate:g}: {_standing(here)}.")
            if {"bipo", "yapo"} <= set(here["method"]):
                parts.append(_at_equal_displacement(here))
        if {"bipo", "yapo"} <= set(own["method"]):
            parts.append(_claim(own))
        parts.append(_answers(cells[cells["task"] == task], task))
    return "\n".join(parts)


def _standing(runs: pd.DataFrame) -> str:
    """Loss and displacement of every method after the early and the late step."""
    told = []
    for step in sorted({min(step, int(runs["step"].max())) for step in (EARLY, LATE)}):
        at = runs[runs["step"] == step]
        methods = [
            f"{label('method', method)} {_mean(own['loss'], 2)}, moved by {own['displacement'].mean():.1f}"
            for method in ordered("method", at["method"])
            if len(own := at[at["method"] == method])
        ]
        told.append(f"after {step} steps {'; '.join(methods)}")
    return "; ".join(told)


def _mean(values: pd.Series, digits: int) -> str:
    return f"{values.mean():.{digits}f} [{values.min():.{digits}f}, {values.max():.{digits}f}]".replace("-", MINUS)


def displacement_gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """YaPO's training loss minus BiPO's at equal displacement, for each country and seed.

    Both runs are read at ``GRID`` displacements up to the largest that both reach, each where it first gets there.

    Args:
        runs: what ``smoothed`` gives, of one task and learning rate.

    Returns:
        ``country``, ``seed``, ``gap`` (mean over the displacements), ``reach`` (the largest of them).
    """
    gaps = []
    for (country, seed), pair in runs.groupby(["country", "seed"], sort=False):
        curves = {str(method): curve for method, curve in pair.groupby("method")}
        if not {"bipo", "yapo"} <= set(curves):
            continue
        reach = min(curve["displacement"].max() for curve in curves.values())
        low = max(curve["displacement"].iloc[0] for curve in curves.values())
        grid = np.linspace(min(low, reach), reach, GRID)
        losses = {}
        for method in ("bipo", "yapo"):
            furthest = curves[method]["displacement"].cummax().to_numpy()
            losses[method] = curves[method]["loss"].to_numpy()[np.searchsorted(furthest, grid).clip(max=len(furthest) - 1)]
        gaps.append({"country": country, "seed": seed, "gap": float((losses["yapo"] - losses["bipo"]).mean()), "reach": reach})
    return pd.DataFrame(gaps)


def _at_equal_displacement(runs: pd.DataFrame) -> str:
    gaps = displacement_gaps(runs)
    ahead = "YaPO" if (gaps["gap"] < 0).all() else "BiPO" if (gaps["gap"] > 0).all() else ""
    size = gaps["gap"].abs() if ahead else gaps["gap"]
    reach = f"over the displacements that both reach (up to {gaps['reach'].mean():.1f})"
    if ahead:
        return f"At equal displacement, {reach}, {ahead}'s loss is lower in every run, by {_mean(size, 3)}."
    return f"At equal displacement, {reach}, neither is lower in every run: YaPO minus BiPO is {_mean(size, 3)}."


def _claim(runs: pd.DataFrame) -> str:
    """Whether the paper's two numbers are met, and whether YaPO is at least ahead at equal step."""
    met, ahead, told = [], [], []
    for rate in sorted(runs["lr"].unique()):
        here = runs[runs["lr"] == rate]
        last = int(here["step"].max())
        early = here[(here["method"] == "yapo") & (here["step"] == min(EARLY, last))]["loss"].mean()
        late = here[(here["method"] == "bipo") & (here["step"] == min(LATE, last))]["loss"].mean()
        told.append(f"{early:.2f} and {late:.2f} at {rate:g}")
        if early < LOW and late >= HIGH - 0.05:
            met.append(f"{rate:g}")
        end = here[here["step"] == last].groupby(["country", "seed", "method"])["loss"].mean().unstack("method")
        if (end["yapo"] < end["bipo"]).all():
            ahead.append(f"{rate:g}")
    verdict = f"holds here at learning rate {', '.join(met)}" if met else "does not hold here at any learning rate"
    order = f"YaPO ends lower in every run at {', '.join(ahead)}" if ahead else "YaPO ends lower in every run at none of them"
    return (
        f"The paper's claim, YaPO below {LOW} within {EARLY} steps and BiPO still at about {HIGH} after {LATE}, {verdict} "
        f"({'; '.join(told)}). At equal step, {order}."
    )


def _answers(cells: pd.DataFrame, task: str) -> str:
    """Best and last score of every method: a low loss is not a right answer."""
    digits = 1 if task == "mcq" else 2
    told, lost = [], 0
    groups = [own for _, own in cells.groupby(["lr", "method"])]
    for own in groups:
        best, end = score_at(own, "best"), score_at(own, "end")
        lost += end["high"] < best["low"]
        told.append(
            f"{label('method', str(own['method'].iloc[0]))} at {own['lr'].iloc[0]:g}: best {best['value']:.{digits}f} "
            f"(epoch {best['at']:.0f}), end {end['value']:.{digits}f}"
        )
    start: dict[str, Any] = score_at(groups[0], "start")
    verdict = (
        f"In {lost} of {len(groups)} trainings the score ends below its best, intervals apart." if lost else "None falls again."
    )
    return f"Validation score, unsteered {start['value']:.{digits}f}: {'; '.join(told)}. {verdict}"
