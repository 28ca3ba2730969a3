"""How fast methods learn, over steps and over what they do to the residual stream: the numbers and the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from yapo.errors import YapoError
from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.evaluation.metrics import mean_over
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS, Cell, Group, Row, Sheet
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.reporting.words import counted, scores_told

NAME = "convergence"
CELL = ["task", "lr", "method"]
RUN = [*CELL, "country", "seed"]
SCORES = {"score": "validation", "training_score": "train"}  # the split that each is of


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
    of all. The last four are those of the end of training. ``SCORES``, by the epoch in ``at``: mean over countries, each
    counted once, bootstrap interval over facts, ``n`` answers, ``of`` facts. The unsteered model is epoch 0.
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
    return pd.concat([*frames, *_scores(rows, options)], ignore_index=True)


def _scores(rows: pd.DataFrame, options: TableOptions) -> list[pd.DataFrame]:
    """Scores by epoch; multiple choice in percent."""
    frames = []
    for measure in SCORES:
        answers = _answers(rows, measure)
        if answers.empty:
            continue
        counts = answers.groupby([*CELL, "at"], sort=False).agg(n=("score", "count"), of=("question_id", "nunique"))
        draws = _score_draws(answers, options)
        most = draws.index.get_level_values("task").map({"mcq": 100.0, "open_ended": 10.0})
        found = intervals(draws, options.confidence, facts=counts["of"].reindex(draws.index), span=(0.0, most))
        frames.append(pd.concat([found, counts], axis=1).reset_index().assign(measure=measure))
    return frames


def _answers(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The answers that a measure of ``SCORES`` is a mean of, in printed units, the epoch as ``at``."""
    answers = rows[(rows["kind"] == "answer") & (rows["split"] == SCORES[measure])]
    percent = answers["task"].map({"mcq": 100.0, "open_ended": 1.0}).astype(float)  # of no rows it would be text
    return answers.assign(score=answers["score"] * percent, at=answers["epoch"])


def _score_draws(answers: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Draws of the mean over countries, by ``CELL`` and ``at``; every cell draws the same facts."""
    keys = [*CELL, "at", "country"]
    draws = resampled_means(answers, keys, resamples=options.resamples, seed=options.seed)
    return mean_over(draws, "country", ["task"])


def falls(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Validation score after the last epoch minus that of the best one, from resamples that draw the same facts for both.

    The best epoch is chosen on these same questions, so the difference is never above 0.

    Args:
        rows: rows of the stage ``convergence``, of all countries and methods.
        options: resamples, confidence and seed.

    Returns:
        ``CELL``, ``best`` (the epoch, the first of equals), ``value``, ``low``, ``high``.
    """
    draws = _score_draws(_answers(rows, "score"), options)
    found = []
    for cell, own in draws[draws.index.get_level_values("at") > 0].groupby(level=CELL, sort=False):
        own = own.sort_index(level="at")
        best = int(own[0].argmax())
        fall = intervals((own.iloc[-1] - own.iloc[best]).to_frame().T, options.confidence)
        place = dict(zip(CELL, cell, strict=True))
        found.append({**place, "best": int(own.index.get_level_values("at")[best]), **records(fall)[0]})
    return pd.DataFrame(found)


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
            f"{steps:,}: {counted(countries, 'country')}, {counted(seeds, 'seed')} "
            f"each. Scores on validation at λ = 1: {scores_told(rows['task'], options.scorer)}."
        ),
        notes=(
            f"Training loss: mean over {window} steps. Steps to a loss: the first step at which it is that low; displacement "
            f"there: how far d·v, d = 1 or {MINUS}1 as drawn, has then moved the residual stream of the minibatches, in its own "
            "units, over the same steps. Displacement at the end: by v (d = 1), of the validation pairs. Means over runs.",
            "Brackets after steps, losses and displacements: lowest and highest run (a run: one country, one seed). After "
            f"scores: {100 * options.confidence:g}% bootstrap interval, {options.resamples:,} resamples of facts.",
            f"Validation losses are at d = 1 and d = {MINUS}1, after the last epoch. The best score is that of the best of the "
            "epochs that answered, chosen on these same questions. Scores: mean over countries, each counted once; the unsteered "
            "model answers once, each seed's vector of its own." + _sample(cells),
            *([options.note] if options.note else []),
        ),
        heads=("Learning rate", "Method"),
        columns=(
            *(name for loss in losses for name in (f"Steps to {loss:g}", f"Displacement at {loss:g}")),
            "Training loss, end", "Validation loss, end", f"Same at d = {MINUS}1", "Displacement, end", "Best score",
            "Score, end", "Training questions, end", "n",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, cells)


def score_at(cells: pd.DataFrame, which: str, measure: str = "score") -> dict[str, Any]:
    """The cell of a method's score before training ("start"), after the last epoch ("end") or of the best epoch ("best").

    Empty where training questions were not asked.
    """
    scores = cells[cells["measure"] == measure].sort_values("at", kind="stable")
    trained = scores[scores["at"] > 0]
    chosen = {
        "start": scores[scores["at"] == 0],
        "end": trained.tail(1),
        "best": trained.sort_values(["value", "at"], ascending=[False, True], kind="stable"),
    }[which]
    return {} if chosen.empty else records(chosen)[0]


def _sample(cells: pd.DataFrame) -> str:
    """What the training questions are, where there are any."""
    asked = cells.loc[cells["measure"] == "training_score", "of"]
    return "" if asked.empty else f" Training questions: one phrasing of each of a sample of training facts ({asked.max():.0f})."


def _baseline(cells: pd.DataFrame, task: str, losses: int) -> tuple[Cell | None, ...]:
    score, training = score_at(cells, "start"), score_at(cells, "start", "training_score")
    empty: tuple[Cell | None, ...] = (None,) * (2 * losses + 5)
    return (*empty, _score(score, task), _score(training, task), _counts(score, training))


def _line(cells: pd.DataFrame, losses: Sequence[float], task: str, rate: float, method: str) -> Row:
    at = {str(cell["measure"]): cell for cell in records(cells[~cells["measure"].isin(SCORES)])}
    values: list[Cell | None] = []
    for loss in losses:
        values += [_reached(at[f"steps_to_{loss:g}"], 0), _reached(at[f"displacement_at_{loss:g}"], 1)]
    values += [_spread(at[name], 3) for name in ("training_loss", "validation_loss", "validation_loss_reversed")]
    best, end, training = score_at(cells, "best"), score_at(cells, "end"), score_at(cells, "end", "training_score")
    values += [_spread(at["displacement"], 1), _score(best, task, f" (epoch {best['at']:.0f})")]
    values += [_score(end, task), _score(training, task), _counts(end, training, f"{at['training_loss']['of']} runs, ")]
    return Row((f"{rate:g}", label("method", method)), tuple(values))


def _counts(score: dict[str, Any], training: dict[str, Any], runs: str = "") -> Cell:
    """Answers and facts of validation, and those of the training questions."""
    more = f"; training {training['n']:,} ({training['of']})" if training else ""
    return Cell(f"{runs}{score['n']:,} answers ({score['of']} facts){more}")


def _reached(cell: dict[str, Any], digits: int) -> Cell:
    """A mean over the runs that get there, and how many do where that is not all."""
    if cell["n"] == 0:
        return Cell("not reached")
    some = "" if cell["n"] == cell["of"] else f" ({cell['n']} of {cell['of']} runs)"
    return _spread(cell, digits, some)


def _spread(cell: dict[str, Any], digits: int, more: str = "") -> Cell:
    value, low, high = (f"{cell[name]:.{digits}f}" for name in ("value", "low", "high"))
    return Cell(value + more, f"[{low}, {high}]")


def _score(cell: dict[str, Any], task: str, more: str = "") -> Cell | None:
    return _spread(cell, 1 if task == "mcq" else 2, more) if cell else None
