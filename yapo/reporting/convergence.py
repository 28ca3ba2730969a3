"""How fast methods learn, over steps and over what they do to the residual stream: the numbers and the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from yapo.errors import YapoError
from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS, Cell, Group, Row, Sheet
from yapo.reporting.tables import Table, TableOptions, make_table

NAME = "convergence"
CELL = ["task", "lr", "method"]
RUN = [*CELL, "country", "seed"]


def smoothed(rows: pd.DataFrame, window: int) -> pd.DataFrame:
    """Loss and displacement over training: means over the ``window`` steps that end at each step.

    Args:
        rows: rows of the stage ``convergence``, of all countries and methods.
        window: steps; the first mean stands at step ``window``.

    Returns:
        ``RUN``, ``step``, ``loss``, ``displacement``, in order of steps.

    Raises:
        YapoError: no run is that long.
    """
    steps = rows[rows["kind"] == "step"].sort_values([*RUN, "step"], ignore_index=True)
    means = steps.groupby(RUN, sort=False)[["loss", "displacement"]].rolling(window).mean()
    steps[["loss", "displacement"]] = means.reset_index(drop=True)
    whole = steps.dropna(subset="loss")[[*RUN, "step", "loss", "displacement"]].reset_index(drop=True)
    if whole.empty:
        raise YapoError(f"studies.convergence.window={window}: no training took so many steps; lower it or train longer")
    return whole


def reached(runs: pd.DataFrame, loss: float) -> pd.DataFrame:
    """Where each run first has a training loss this low: ``step`` and ``displacement``, indexed by ``RUN``; NaN if never."""
    every = pd.MultiIndex.from_frame(runs[RUN].drop_duplicates())
    first = runs[runs["loss"] <= loss].drop_duplicates(RUN).set_index(RUN)[["step", "displacement"]]
    return first.reindex(every)


def convergence_cells(rows: pd.DataFrame, losses: Sequence[float], window: int, options: TableOptions) -> pd.DataFrame:
    """Tidy numbers: ``CELL``, ``measure``, ``value``, ``low``, ``high``, ``n``, ``of``.

    Measures of runs (``steps_to_<loss>``, ``displacement_at_<loss>``, ``training_loss``, ``validation_loss``,
    ``validation_loss_reversed``, ``displacement``): mean over runs, lowest and highest run, ``n`` runs that have the measure
    of all. The last four are those of the end of training. ``score``, by the epoch in ``at``: mean over the answers of all runs,
    bootstrap interval over facts, ``n`` answers, ``of`` facts. The unsteered model is epoch 0.
    """
    runs = smoothed(rows, window)
    per_run: dict[str, pd.Series] = {}
    for loss in losses:
        first = reached(runs, loss)
        per_run |= {f"steps_to_{loss:g}": first["step"], f"displacement_at_{loss:g}": first["displacement"]}
    per_run["training_loss"] = runs.groupby(RUN, sort=False)["loss"].last()
    ends = rows[rows["kind"] == "epoch"].sort_values("epoch", kind="stable").groupby(RUN, sort=False)
    for name in ("validation_loss", "validation_loss_reversed", "displacement"):
        per_run[name] = ends[name].last()
    frames = []
    for name, values in per_run.items():
        spread = values.groupby(level=CELL, sort=False).agg(["mean", "min", "max", "count", "size"])
        spread.columns = pd.Index(["value", "low", "high", "n", "of"])
        frames.append(spread.reset_index().assign(measure=name, at=np.nan))
    return pd.concat([*frames, _scores(rows, options)], ignore_index=True)


def _scores(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Scores by epoch; multiple choice in percent."""
    answers = rows[rows["kind"] == "answer"]
    answers = answers.assign(score=answers["score"] * answers["task"].map({"mcq": 100.0, "open_ended": 1.0}))
    keys = [*CELL, "epoch"]
    draws = resampled_means(answers, keys, resamples=options.resamples, seed=options.seed)
    counts = answers.groupby(keys, sort=False).agg(n=("score", "count"), of=("question_id", "nunique"))
    made = pd.concat([intervals(draws, options.confidence), counts], axis=1).reset_index().assign(measure="score")
    return made.rename(columns={"epoch": "at"})


def convergence_table(rows: pd.DataFrame, losses: Sequence[float], window: int, setting: str, options: TableOptions) -> Table:
    """Steps to given training losses, the displacement there, and where training ends; one line per learning rate and method.

    Args:
        rows: rows of the stage ``convergence``, of all countries and methods.
        losses: training losses whose steps are counted.
        window: steps that a training loss is a mean over.
        setting: which questions the vectors were trained on.
        options: see ``TableOptions``.
    """
    cells = convergence_cells(rows, losses, window, options)
    steps = int(rows["step"].max())
    groups = []
    for task in ordered("task", cells["task"]):
        own = cells[cells["task"] == task]
        lines = [Row(("", label("method", "baseline")), _baseline(own, str(task), len(losses)))]
        for rate in sorted(own["lr"].unique()):
            here = own[own["lr"] == rate]
            for method in ordered("method", here["method"]):
                lines.append(_line(here[here["method"] == method], losses, str(task), rate, method))
        groups.append(Group(label("task", str(task)), tuple(lines)))
    countries, seeds = rows["country"].nunique(), rows["seed"].nunique()
    sheet = Sheet(
        name=NAME,
        title="Convergence",
        caption=(
            f"Training of vectors on {label('setting', setting).lower()} questions at equal learning rates, up to step "
            f"{steps:,}: {countries} {'countries' if countries > 1 else 'country'}, {seeds} "
            f"{'seeds' if seeds > 1 else 'seed'} each. Scores on validation at λ = 1: multiple-choice accuracy (%), open-ended "
            f"0 to 10 (scorer: {options.scorer})."
        ),
        notes=(
            f"Training loss: mean over {window} steps. Steps to a loss: the first step at which it is that low; displacement "
            "there: how far the residual stream has then been moved, in its own units. Means over the runs that get there.",
            "Brackets after steps, losses and displacements: lowest and highest run (a run: one country, one seed). After "
            f"scores: {100 * options.confidence:g}% bootstrap interval, {options.resamples:,} resamples of facts.",
            f"Validation losses are at d = 1 and d = {MINUS}1, after the last epoch. The best score is that of the best of the "
            "epochs that answered, chosen on these same questions.",
            *([options.note] if options.note else []),
        ),
        heads=("Learning rate", "Method"),
        columns=(
            *(name for loss in losses for name in (f"Steps to {loss:g}", f"Displacement at {loss:g}")),
            "Training loss, end", "Validation loss, end", f"Same at d = {MINUS}1", "Displacement, end", "Best score",
            "Score, end", "n",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, cells)


def score_at(cells: pd.DataFrame, which: str) -> dict[str, Any]:
    """The cell of a method's ``score`` before training ("start"), after the last epoch ("end") or of the best epoch ("best")."""
    scores = cells[cells["measure"] == "score"].sort_values("at", kind="stable")
    trained = scores[scores["at"] > 0]
    if which == "start":
        return records(scores[scores["at"] == 0])[0]
    if which == "end":
        return records(trained.tail(1))[0]
    return records(trained.sort_values(["value", "at"], ascending=[False, True], kind="stable"))[0]


def _baseline(cells: pd.DataFrame, task: str, losses: int) -> tuple[Cell | None, ...]:
    score = score_at(cells, "start")
    empty: tuple[Cell | None, ...] = (None,) * (2 * losses + 5)
    return (*empty, _score(score, task), Cell(f"{score['n']:,} answers ({score['of']} facts)"))


def _line(cells: pd.DataFrame, losses: Sequence[float], task: str, rate: float, method: str) -> Row:
    at = {str(cell["measure"]): cell for cell in records(cells[cells["measure"] != "score"])}
    values: list[Cell | None] = []
    for loss in losses:
        values += [_reached(at[f"steps_to_{loss:g}"], 0), _reached(at[f"displacement_at_{loss:g}"], 1)]
    values += [_spread(at[name], 3) for name in ("training_loss", "validation_loss", "validation_loss_reversed")]
    best, end = score_at(cells, "best"), score_at(cells, "end")
    best_cell = _score(best, task)
    n = Cell(f"{at['training_loss']['of']} runs, {end['n']:,} answers ({end['of']} facts)")
    values += [_spread(at["displacement"], 1), Cell(f"{best_cell.value} (epoch {best['at']:.0f})", best_cell.interval)]
    return Row((f"{rate:g}", label("method", method)), (*values, _score(end, task), n))


def _reached(cell: dict[str, Any], digits: int) -> Cell:
    """A mean over the runs that get there, and how many do where that is not all."""
    if cell["n"] == 0:
        return Cell("not reached")
    some = "" if cell["n"] == cell["of"] else f" ({cell['n']} of {cell['of']} runs)"
    spread = _spread(cell, digits)
    return Cell(spread.value + some, spread.interval)


def _spread(cell: dict[str, Any], digits: int) -> Cell:
    value, low, high = (f"{cell[name]:.{digits}f}" for name in ("value", "low", "high"))
    return Cell(value, f"[{low}, {high}]")


def _score(cell: dict[str, Any], task: str) -> Cell:
    return _spread(cell, 1 if task == "mcq" else 2)
