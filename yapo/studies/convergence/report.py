"""Report of ``convergence``: loss and score over steps and over displacement of the residual stream, as table and finding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from yapo.checks import Setting, Task
from yapo.config import Config
from yapo.errors import YapoError
from yapo.evaluation.bootstrap import intervals
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import number_cell, plural, score_digits
from yapo.reporting.render import MINUS, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.convergence.figure import convergence_figure
from yapo.studies.means import country_means, highest_scores, printed_scores
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.convergence")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "convergence"
CELL = ["task", "lr", "method"]
RUN = [*CELL, "country", "seed"]
SCORE = [*CELL, "at"]
SCORES = {"score": "validation", "training_score": "train"}  # the split that each is of
STEPS = (150, 640)  # of which the paper's figure gives losses (arXiv 2601.08441)
GRID = 25  # displacements at which two runs are compared


def main(config: Config) -> None:
    """Write ``tables/convergence.*``, ``figures/convergence.*`` and ``studies/convergence.json``."""
    rows, settings, options = read_rows(config, NAME), config.studies.convergence, table_options(config)
    runs = smoothed(rows, settings.window)
    cells = convergence_cells(rows, runs, settings.losses, options)
    table = convergence_table(rows, cells, settings.losses, settings.window, settings.setting, options)
    figure = convergence_figure(rows, runs, settings.window, options.note)
    values = {**finding_values(rows, runs, cells, options), "window": settings.window}
    write_report(config, NAME, FINDING, values, {NAME: table}, {NAME: figure})


def smoothed(rows: pd.DataFrame, window: int) -> pd.DataFrame:
    """Return ``RUN``, ``step``, ``loss``, ``displacement``, in order of steps: means over the ``window`` steps that end at each.

    Args:
        rows: rows of the stage ``convergence``, of all countries and methods.
        window: steps; the first mean stands at step ``window``.

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
    """Return ``step`` and ``displacement`` where each run first has a training loss this low; NaN if never."""
    every = pd.MultiIndex.from_frame(runs[RUN].drop_duplicates())
    first = runs[runs["loss"] <= loss].drop_duplicates(RUN).set_index(RUN)[["step", "displacement"]]
    return first.reindex(every)


def convergence_cells(rows: pd.DataFrame, runs: pd.DataFrame, losses: Sequence[float], options: TableOptions) -> pd.DataFrame:
    """Return the tidy numbers: ``CELL``, ``measure``, ``value``, ``low``, ``high``, ``n``, ``of``.

    Measures of runs (``steps_to_<loss>``, ``displacement_at_<loss>``, ``training_loss``, ``validation_loss``,
    ``validation_loss_reversed``, ``displacement``): mean over runs, lowest and highest run, ``n`` runs that have the measure
    of all. The last four are those of the end of training. ``SCORES``, by the epoch in ``at``: mean over countries, each
    counted once, bootstrap interval over facts, ``n`` answers, ``of`` facts. The unsteered model is epoch 0.

    Args:
        rows: rows of the stage ``convergence``, of all countries and methods.
        runs: from ``smoothed``.
        losses: training losses whose steps are counted.
        options: see ``TableOptions``.
    """
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
    """Return scores by epoch, multiple choice in percent."""
    frames = []
    for measure in SCORES:
        answers = _answers(rows, measure)
        if answers.empty:
            continue
        counts = answers.groupby(SCORE, sort=False).agg(n=("score", "count"), of=("question_id", "nunique"))
        draws = country_means(answers, SCORE, options, within=["task"])
        found = intervals(draws, options.confidence, facts=counts["of"].reindex(draws.index), span=(0.0, highest_scores(draws)))
        frames.append(pd.concat([found, counts], axis=1).reset_index().assign(measure=measure))
    return frames


def _answers(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the answers behind a measure of ``SCORES``, in printed units, the epoch as ``at``."""
    answers = rows[(rows["kind"] == "answer") & (rows["split"] == SCORES[measure])]
    return answers.assign(score=printed_scores(answers), at=answers["epoch"])


def falls(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the validation score after the last epoch minus that of the best one; resamples draw the same facts for both.

    The best epoch is chosen on these same questions, so the difference is never above 0.

    Returns:
        ``CELL``, ``best`` (the epoch, the first of equals), ``value``, ``low``, ``high``.
    """
    draws = country_means(_answers(rows, "score"), SCORE, options, within=["task"])
    found = []
    for cell, of_cell in draws[draws.index.get_level_values("at") > 0].groupby(level=CELL, sort=False):
        of_cell = of_cell.sort_index(level="at")
        best = int(of_cell[0].argmax())
        fall = intervals((of_cell.iloc[-1] - of_cell.iloc[best]).to_frame().T, options.confidence)
        epoch = int(of_cell.index.get_level_values("at")[best])
        found.append({**dict(zip(CELL, cell, strict=True)), "best": epoch, **records(fall)[0]})
    return pd.DataFrame(found)


def displacement_gaps(runs: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Return the second method's training loss minus the first's at equal displacement, for each country and seed.

    Both runs, of one task and learning rate, are read at ``GRID`` displacements up to the largest that both reach, each where it
    first gets there.

    Returns:
        ``gap`` (mean over the displacements) and ``reach`` (the largest of them).
    """
    gaps = []
    for _, pair in runs.groupby(["country", "seed"], sort=False):
        curves = [pair[pair["method"] == method] for method in (first, second)]
        if any(curve.empty for curve in curves):
            continue
        reach = min(curve["displacement"].max() for curve in curves)
        low = max(curve["displacement"].iloc[0] for curve in curves)
        grid = np.linspace(min(low, reach), reach, GRID)
        losses = []
        for curve in curves:
            furthest = curve["displacement"].cummax().to_numpy()
            losses.append(curve["loss"].to_numpy()[np.searchsorted(furthest, grid).clip(max=len(furthest) - 1)])
        gaps.append((float((losses[1] - losses[0]).mean()), reach))
    return pd.DataFrame(gaps, columns=["gap", "reach"])


def finding_values(rows: pd.DataFrame, runs: pd.DataFrame, cells: pd.DataFrame, options: TableOptions) -> dict[str, Any]:
    """Return the numbers of ``finding.md.j2``, by task; arguments as for ``convergence_cells``, which makes ``cells``."""
    fallen, tasks = falls(rows, options), []
    for task in ordered("task", runs["task"]):
        of_task, scores = runs[runs["task"] == task], cells[cells["task"] == task]
        trained = []
        for fall in records(fallen[fallen["task"] == task].sort_values(["lr", "method"])):
            run = scores[(scores["lr"] == fall["lr"]) & (scores["method"] == fall["method"])]
            best, end, training = score_at(run, "best"), score_at(run, "end"), score_at(run, "end", "training_score")
            trained.append({**fall, "fall": fall, "best": best, "end": end, "training": training})
        tasks.append(
            {
                "name": task,
                "digits": score_digits(task),
                "unsteered": score_at(scores, "start")["value"],
                "rates": [{"rate": rate, **_rate(of_task[of_task["lr"] == rate])} for rate in sorted(of_task["lr"].unique())],
                "runs": trained,
            }
        )
    return {"tasks": tasks, "countries": rows["country"].nunique(), "seeds": rows["seed"].nunique()}


def _rate(runs: pd.DataFrame) -> dict[str, Any]:
    """Return losses after some steps, or at the end of runs that end before, and gaps at equal displacement."""
    methods, losses = ordered("method", runs["method"]), list[dict[str, Any]]()
    for step in STEPS:
        at = runs[runs["step"] <= step].sort_values("step", kind="stable").groupby(RUN, sort=False).tail(1)
        by_method = {method: at[at["method"] == method] for method in methods if (at["method"] == method).any()}
        means = [
            {"method": method, **_range(run["loss"]), "displacement": run["displacement"].mean()}
            for method, run in by_method.items()
        ]
        found = {"first": int(at["step"].min()), "last": int(at["step"].max()), "methods": means} if means else {}
        if found and found not in losses:  # both are the end of runs shorter than the first step
            losses.append(found)
    gaps = []
    for first, second in combinations(methods, 2):
        pairs = displacement_gaps(runs, first, second)
        if len(pairs):
            gaps.append({"first": first, "second": second, **_range(pairs["gap"]), "reach": pairs["reach"].mean()})
    return {"losses": losses, "gaps": gaps}


def _range(values: pd.Series) -> dict[str, float]:
    return {"value": values.mean(), "low": values.min(), "high": values.max()}


def convergence_table(
    rows: pd.DataFrame, cells: pd.DataFrame, losses: Sequence[float], window: int, setting: Setting, options: TableOptions
) -> Table:
    """Return the table: steps and displacement at given training losses, and where training ends, by learning rate and method.

    Args:
        rows, losses, options: as for ``convergence_cells``, which makes ``cells``.
        cells: tidy numbers.
        window: steps that a training loss is a mean over.
        setting: which questions the vectors were trained on.
    """
    steps = int(rows["step"].max())
    groups = []
    for task in ordered("task", cells["task"]):
        of_task = cells[cells["task"] == task]
        lines = [TableRow(("", label("method", "baseline")), _baseline(of_task, task, len(losses)))]
        for rate in sorted(of_task["lr"].unique()):
            here = of_task[of_task["lr"] == rate]
            for method in ordered("method", here["method"]):
                lines.append(_line(here[here["method"] == method], losses, task, rate, method))
        groups.append(Group(label("task", task), tuple(lines)))
    countries, seeds = rows["country"].nunique(), rows["seed"].nunique()
    sheet = Sheet(
        name=NAME,
        title="Convergence",
        caption=(
            f"Training of vectors on {label('setting', setting).lower()} questions at equal learning rates, up to step "
            f"{steps:,}: {plural(countries, 'country')}, {plural(seeds, 'seed')} "
            f"each. Scores on validation at λ = 1: {options.scores(rows['task'])}."
        ),
        notes=(
            f"Training loss: mean over {window} steps. Steps to a loss: the first step at which it is that low; displacement "
            f"there: how far d·v, d = 1 or {MINUS}1 as drawn, has then moved the residual stream of the minibatches, in its own "
            "units, over the same steps. Displacement at the end: by v (d = 1), of the validation pairs. Means over runs.",
            "Brackets after steps, losses and displacements: lowest and highest run (a run: one country, one seed). After "
            f"scores: {options.brackets()}.",
            f"Validation losses are at d = 1 and d = {MINUS}1, after the last epoch. The best score is that of the best of the "
            "epochs that answered, chosen on these same questions. Scores: mean over countries, each counted once; the unsteered "
            "model answers once, each seed's vector of its own." + _sample(cells),
        ),
        heads=("Learning rate", "Method"),
        columns=(
            *(name for loss in losses for name in (f"Steps to {loss:g}", f"Displacement at {loss:g}")),
            "Training loss, end", "Validation loss, end", f"Same at d = {MINUS}1", "Displacement, end", "Best score",
            "Score, end", "Training questions, end", "n",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, cells, options.note)


def score_at(cells: pd.DataFrame, which: str, measure: str = "score") -> dict[str, Any]:
    """Return the cell of a method's score before training ("start"), after the last epoch ("end") or of the best epoch ("best").

    Empty where training questions were not asked.
    """
    scores = cells[cells["measure"] == measure].sort_values("at", kind="stable")
    trained = scores[scores["at"] > 0]
    found = {
        "start": scores[scores["at"] == 0],
        "end": trained.tail(1),
        "best": trained.sort_values(["value", "at"], ascending=[False, True], kind="stable"),
    }[which]
    return {} if found.empty else records(found)[0]


def _sample(cells: pd.DataFrame) -> str:
    asked = cells.loc[cells["measure"] == "training_score", "of"]
    return "" if asked.empty else f" Training questions: one phrasing of each of a sample of training facts ({asked.max():.0f})."


def _baseline(cells: pd.DataFrame, task: Task, losses: int) -> tuple[Cell | None, ...]:
    score, training = score_at(cells, "start"), score_at(cells, "start", "training_score")
    empty: tuple[Cell | None, ...] = (None,) * (2 * losses + 5)
    return (*empty, _score(score, task), _score(training, task), _counts(score, training))


def _line(cells: pd.DataFrame, losses: Sequence[float], task: Task, rate: float, method: str) -> TableRow:
    at = {str(record["measure"]): record for record in records(cells[~cells["measure"].isin(SCORES)])}
    best, end, training = score_at(cells, "best"), score_at(cells, "end"), score_at(cells, "end", "training_score")
    reached = [(at[f"steps_to_{loss:g}"], at[f"displacement_at_{loss:g}"]) for loss in losses]
    values = (
        *(_reached(record, digits) for cells in reached for record, digits in zip(cells, (0, 1), strict=True)),
        *(number_cell(at[name], 3) for name in ("training_loss", "validation_loss", "validation_loss_reversed")),
        number_cell(at["displacement"], 1),
        _score(best, task, f" (epoch {best['at']:.0f})"),
        _score(end, task),
        _score(training, task),
        _counts(end, training, f"{at['training_loss']['of']} runs, "),
    )
    return TableRow((f"{rate:g}", label("method", method)), values)


def _counts(score: dict[str, Any], training: dict[str, Any], runs: str = "") -> Cell:
    """Return answers and facts of validation, and those of the training questions."""
    more = f"; training {training['n']:,} ({training['of']})" if training else ""
    return Cell(f"{runs}{score['n']:,} answers ({score['of']} facts){more}")


def _reached(record: dict[str, Any], digits: int) -> Cell | None:
    """Return a mean over the runs that get there, and how many do where that is not all."""
    if record["n"] == 0:
        return Cell("not reached")
    return number_cell(record, digits, more="" if record["n"] == record["of"] else f" ({record['n']} of {record['of']} runs)")


def _score(record: dict[str, Any], task: Task, more: str = "") -> Cell | None:
    return number_cell(record or None, score_digits(task), more=more)


if __name__ == "__main__":
    run(main)
