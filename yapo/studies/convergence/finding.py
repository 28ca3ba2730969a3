"""What the convergence study says, in words made from its numbers: the paper's claim, at equal step and at equal displacement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS
from yapo.reporting.tables import TableOptions
from yapo.reporting.words import counted
from yapo.studies.convergence.table import CELL, NAME, RUN, convergence_cells, falls, score_at, smoothed

# What the paper claims (figure of arXiv 2601.08441): YaPO's loss within so many steps, and BiPO's after so many.
EARLY, LOW = 150, 0.1
LATE, HIGH = 640, 0.34
ABOUT = 0.05  # how near a loss must be to be "about" another
GRID = 25  # displacements at which two runs are compared

LIMITS = (
    "One setting, few countries and seeds; brackets show the spread of runs, not what other data would give.",
    "A displacement reached early and one reached late may belong to different vectors: at equal displacement, the step at which "
    "a run first gets there counts.",
    "The best epoch is chosen on the questions on which its score is given, so a small fall after it may be chance.",
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
    fallen = falls(rows, options)
    countries, seeds = rows["country"].nunique(), rows["seed"].nunique()
    parts = [
        f"Runs of {counted(countries, 'country')} and {counted(seeds, 'seed')}; "
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
        parts.append(_answers(cells[cells["task"] == task], fallen[fallen["task"] == task], task))
    return "\n".join(parts)


def _standing(runs: pd.DataFrame) -> str:
    """Loss and displacement of every method after the early and the late step, or at the end of runs that end before."""
    told: dict[str, None] = {}
    for step in (EARLY, LATE):
        at = _up_to(runs, step)
        methods = [
            f"{label('method', method)} {_mean(own['loss'], 2)}, moved by {own['displacement'].mean():.1f}"
            for method in ordered("method", at["method"])
            if len(own := at[at["method"] == method])
        ]
        if methods:
            told[f"{_where(at, step)} {'; '.join(methods)}"] = None
    return "; ".join(told)


def _up_to(runs: pd.DataFrame, step: int) -> pd.DataFrame:
    """Each run at a step, or at its own last one where it ends before; runs whose first mean stands later are left out."""
    return runs[runs["step"] <= step].sort_values("step", kind="stable").groupby(RUN, sort=False).tail(1)


def _where(at: pd.DataFrame, step: int) -> str:
    """At which steps rows of ``_up_to`` stand."""
    first, last = int(at["step"].min()), int(at["step"].max())
    if first == step:
        return f"after {step} steps"
    if last < step:
        return f"at the end of training, step {first}" + (f" to {last}" if last > first else "")
    return f"after {step} steps, or where a run ends before (from step {first} on)"


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
    """Whether the paper's two numbers are met at each learning rate, and in how many runs YaPO is ahead at equal step."""
    judged, ahead = [], []
    for rate in sorted(runs["lr"].unique()):
        here = runs[runs["lr"] == rate]
        judged.append(f"at {rate:g} it {_judged(here)}")
        pairs = [curves for _, curves in here.groupby(["country", "seed"]) if {"bipo", "yapo"} <= set(curves["method"])]
        ends = [_losses_at_the_end(curves) for curves in pairs]
        ahead.append(f"{sum(yapo < bipo for bipo, yapo in ends)} of {len(ends)} runs at {rate:g}")
    return (
        f"The paper's claim is that YaPO's loss is below {LOW} within {EARLY} steps and BiPO's still at about {HIGH} (within "
        f"{ABOUT}) after {LATE}: {'; '.join(judged)}. At the last step that both take, YaPO's loss is lower in "
        f"{', '.join(ahead)}."
    )


def _judged(runs: pd.DataFrame) -> str:
    """What one learning rate says to the claim; a half of it that no training reached is left open."""
    told, met = [], list[bool | None]()
    for method, step in (("yapo", EARLY), ("bipo", LATE)):
        at = _up_to(runs[runs["method"] == method], step)
        if at.empty or at["step"].min() < step:
            told.append(f"step {step} was not reached by every run of {label('method', method)}")
            met.append(None)
            continue
        loss = at["loss"].mean()
        side = ""
        if method == "bipo" and abs(loss - HIGH) > ABOUT:
            side = ", more than claimed" if loss > HIGH else ", less than claimed"
        told.append(f"{label('method', method)} {loss:.2f}{side}")
        met.append(loss < LOW if method == "yapo" else not side)
    verdict = "does not hold" if False in met else "cannot be judged" if None in met else "holds"
    return f"{verdict} ({'; '.join(told)})"


def _losses_at_the_end(curves: pd.DataFrame) -> tuple[float, float]:
    """BiPO's and YaPO's loss of one country and seed at the last step that both have."""
    by_method = {method: curve.set_index("step")["loss"] for method, curve in curves.groupby("method")}
    last = by_method["bipo"].index.intersection(by_method["yapo"].index).max()
    return float(by_method["bipo"][last]), float(by_method["yapo"][last])


def _answers(cells: pd.DataFrame, fallen: pd.DataFrame, task: str) -> str:
    """Best and last score of every training: a low loss is not a right answer."""
    digits = 1 if task == "mcq" else 2
    told, lost = [], []
    for fall in records(fallen.sort_values(["lr", "method"])):
        own = cells[(cells[CELL] == [fall[name] for name in CELL]).all(axis=1)]
        best, end, training = score_at(own, "best"), score_at(own, "end"), score_at(own, "end", "training_score")
        name = f"{label('method', fall['method'])} at {fall['lr']:g}"
        seen = f" (training questions {training['value']:.{digits}f})" if training else ""
        told.append(f"{name}: best {best['value']:.{digits}f} (epoch {best['at']:.0f}), end {end['value']:.{digits}f}{seen}")
        if fall["high"] < 0:
            change = (f"{fall[key]:.{digits}f}".replace("-", MINUS) for key in ("value", "low", "high"))
            lost.append("{} ({} [{}, {}])".format(name, *change))
    start = score_at(cells, "start")
    verdict = (
        f"The end lies below the best epoch, on the same facts, with {', '.join(lost)}"
        if lost
        else "No fall from the best epoch to the end can be told from 0"
    )
    return f"Validation score, unsteered {start['value']:.{digits}f}: {'; '.join(told)}. {verdict}."
