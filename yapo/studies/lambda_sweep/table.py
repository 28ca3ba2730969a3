"""All methods on one grid of multipliers: the numbers, the table, and what they say. Figures: ``lambda_sweep_figures``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from yapo.errors import YapoError
from yapo.evaluation.bootstrap import differences, intervals, resampled_means
from yapo.evaluation.metrics import mean_over
from yapo.reporting.cells import records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.render import MINUS, Cell, Group, Row, Sheet
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.reporting.words import counted, scores_told

NAME = "lambda_sweep"
PANEL = ["task", "variant", "setting"]
POINT = ["method", "multiplier"]
MEASURES = ("score", "unparsed", "log_prob", "repeated")
CONTROL = "random"


def sweep_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Mean over countries at every point of the grid.

    Args:
        rows: rows of the stage ``lambda_sweep``, of all countries.
        options: resamples, confidence and seed.

    Returns:
        ``PANEL``, ``POINT`` and ``measure`` (``MEASURES``; multiple-choice scores, unparsed and repeated in percent), then
        ``value, low, high``, the difference from the unsteered model ``change, change_low, change_high``, ``n``, ``n_facts``,
        ``countries`` and ``displacement``. λ = 0 is the method "baseline".
    """
    if rows.empty:
        raise YapoError("no rows of the λ sweep; name countries of this experiment in studies.lambda_sweep.countries")
    frames = []
    for panel, part in rows.groupby(PANEL, sort=False):
        draws = _draws(part, options)
        measures = draws.index.get_level_values("measure")
        facts = part.groupby(POINT)["question_id"].nunique().reindex(draws.droplevel("measure").index).to_numpy()
        most = measures.map({"score": 100.0 if panel[0] == "mcq" else 10.0, "unparsed": 100.0, "repeated": 100.0})
        found = intervals(draws, options.confidence, facts=facts, span=(0.0, most))  # log-probabilities have no ends
        unsteered = pd.MultiIndex.from_tuples([(name, "baseline", 0.0) for name in measures], names=draws.index.names)
        base = (draws.loc[unsteered], found.loc[unsteered])
        change = differences(draws, base[0], found, base[1], options.confidence)
        change.columns = pd.Index(["change", "change_low", "change_high"])
        cells = pd.concat([found, change], axis=1).reset_index()
        counts = part.groupby(POINT, sort=False).agg(
            n=("score", "count"),
            n_facts=("question_id", "nunique"),
            countries=("country", "nunique"),
            displacement=("displacement", "mean"),
        )
        for name, value in zip(PANEL, panel, strict=True):
            cells[name] = str(value)
        frames.append(cells.merge(counts.reset_index(), on=POINT))
    made = pd.concat(frames, ignore_index=True)
    return made[[*PANEL, *POINT, "measure", *(name for name in made.columns if name not in {*PANEL, *POINT, "measure"})]]


def best_multipliers(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Where each method's mean score is highest: ``PANEL``, ``method``, ``best``, ``best_low``, ``best_high``.

    The interval is that of the best λ over resamples of facts. Ties go to the smallest |λ|; λ = 0 takes part.
    """
    tail = (1 - options.confidence) / 2
    found = []
    for panel, part in rows.groupby(PANEL, sort=False):
        draws = _draws(part, options).xs("score")
        base = draws.loc[[("baseline", 0.0)]]
        for method in part["method"].unique():
            if method == "baseline":
                continue
            own = pd.concat([base, draws.loc[[method]]])
            lambdas = own.index.get_level_values("multiplier").to_numpy(dtype=float)
            order = np.argsort(np.abs(lambdas), kind="stable")
            best = lambdas[order][own.to_numpy()[order].argmax(axis=0)]
            bounds = np.quantile(best[1:], [tail, 1 - tail], method="nearest") if len(best) > 1 else [np.nan, np.nan]
            place = dict(zip(PANEL, panel, strict=True))
            found.append({**place, "method": method, "best": best[0], "best_low": bounds[0], "best_high": bounds[1]})
    return pd.DataFrame(found)


def _draws(part: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Means over countries, each counted once, of every measure at every point of one panel."""
    percent = 100.0 if (part["task"] == "mcq").all() else 1.0
    values = {
        "score": percent * part["score"],
        "unparsed": 100.0 * (1.0 - part["parsed"].astype(float)),
        "log_prob": part["log_prob"],
        "repeated": 100.0 * part["repeated"],
    }
    place = part[["country", "question_id", *POINT]]
    long = pd.concat([place.assign(measure=name, score=value) for name, value in values.items()])
    draws = resampled_means(long, ["measure", *POINT, "country"], resamples=options.resamples, seed=options.seed)
    return mean_over(draws, "country", [])


def lambda_sweep_table(rows: pd.DataFrame, options: TableOptions) -> Table:
    """Best λ of every method, what it brings, and what λ = ±1 brings and costs."""
    cells, best = sweep_cells(rows, options), best_multipliers(rows, options)
    at = {tuple(row[name] for name in [*PANEL, *POINT, "measure"]): row for row in records(cells)}
    groups = []
    for task in ordered("task", cells["task"]):
        for variant in ordered("variant", cells["variant"]):
            lines = []
            for setting in ordered("setting", cells["setting"]):
                panel = (task, variant, setting)
                own = best[(best[PANEL] == panel).all(axis=1)]
                lines.append(Row((label("setting", setting), label("method", "baseline")), _baseline(at, panel)))
                lines += [
                    Row((label("setting", setting), label("method", str(row["method"]))), _line(at, panel, row))
                    for row in records(in_order(own, ["method"]))
                ]
            groups.append(Group(f"{label('task', task)}, {label('variant', variant).lower()} questions", tuple(lines)))
    sheet = Sheet(
        name=NAME,
        title="All multipliers",
        caption=(
            "Every method's vectors on one grid of multipliers, on validation questions: "
            f"{scores_told(rows['task'], options.scorer)}, mean over {counted(rows['country'].nunique(), 'country')}. "
            "Vectors: by the questions they were trained on."
        ),
        notes=(
            "Best λ is the highest mean score of this very grid, chosen on the questions on which it is scored: the score there "
            "tends to be too high, by an amount that need not be the same for every method; brackets: "
            f"{100 * options.confidence:g}% interval of the best λ over {options.resamples:,} resamples of facts.",
            "Other brackets: bootstrap interval of the value or of its difference from the baseline, over the same resamples; "
            "where all facts are alike, as when every answer is right, Clopper and Pearson's interval over facts.",
            "Log-prob: change of the mean log-probability per token (nats) of what was said, under the unsteered model. "
            + _gold(rows, cells),
            "Repeated: share of token trigrams that occurred before in the same answer. Displacement: mean change of the "
            "residual stream per token. Random: a random direction with the displacement of the strongest vector at λ = 1.",
            *([options.note] if options.note else []),
        ),
        heads=("Vectors", "Method"),
        columns=(
            "Best λ", "Score there", "Log-prob there", "Score at λ = 1", f"Score at λ = {MINUS}1", "Log-prob at λ = 1",
            "Repeated at λ = 1 (%)", "Unparsed at λ = 1 (%)", "Displacement at λ = 1", "n",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, cells.merge(best, on=[*PANEL, "method"], how="left"))


def _gold(rows: pd.DataFrame, cells: pd.DataFrame) -> str:
    """How likely the right answers are, by task and variant: steering towards them costs as much log-probability."""
    gap = gold_gap(rows)
    told = [
        f"{_signed(gap[task, variant], 2)} ({label('task', task).lower()}, {label('variant', variant).lower()})"
        for task in ordered("task", cells["task"])
        for variant in ordered("variant", cells["variant"])
    ]
    return f"Right answers differ from the unsteered ones by {', '.join(told)}: a change of that size is no loss of coherence."


def gold_gap(rows: pd.DataFrame) -> pd.Series:
    """Log-probability per token (nats) of the right answers minus that of the unsteered ones, by task and variant.

    Mean over countries, each counted once.
    """
    base = rows[rows["method"] == "baseline"]
    by_country = (base["gold_log_prob"] - base["log_prob"]).groupby([base["task"], base["variant"], base["country"]]).mean()
    return by_country.groupby(["task", "variant"]).mean()


Records = dict[tuple[Any, ...], dict[str, Any]]


def _baseline(at: Records, panel: tuple[str, ...]) -> tuple[Cell | None, ...]:
    score, unparsed, repeats = (at[*panel, "baseline", 0.0, name] for name in ("score", "unparsed", "repeated"))
    digits = 1 if panel[0] == "mcq" else 2
    n = Cell(f"{score['n']:,} ({score['n_facts']} facts)")
    return (
        None, _value(score, digits), None, None, None, None, _value(repeats, 1), _value(unparsed, 1), None, n,
    )  # fmt: skip


def _line(at: Records, panel: tuple[str, ...], best: dict[str, Any]) -> tuple[Cell | None, ...]:
    method, digits = best["method"], 1 if panel[0] == "mcq" else 2
    there = (method, best["best"]) if best["best"] else ("baseline", 0.0)
    low, high = printed_multiplier(best["best_low"]), printed_multiplier(best["best_high"])
    one, minus = (at.get((*panel, method, m, "score")) for m in (1.0, -1.0))
    score = at[*panel, *there, "score"]
    return (
        Cell(printed_multiplier(best["best"]), f"[{low}, {high}]" if np.isfinite(best["best_low"]) else ""),
        _value(score, digits),
        _value(at[*panel, *there, "log_prob"], 2, change=True) if best["best"] else None,
        _value(one, digits),
        _value(minus, digits),
        _value(at.get((*panel, method, 1.0, "log_prob")), 2, change=True),
        _value(at.get((*panel, method, 1.0, "repeated")), 1),
        _value(at.get((*panel, method, 1.0, "unparsed")), 1),
        None if one is None else Cell(f"{one['displacement']:.1f}"),
        Cell(f"{score['n']:,} ({score['n_facts']} facts)"),
    )


def _value(cell: dict[str, Any] | None, digits: int, *, change: bool = False) -> Cell | None:
    """A value, or its difference from the baseline, with its interval."""
    if cell is None:
        return None
    names = ("change", "change_low", "change_high") if change else ("value", "low", "high")
    value, low, high = (_signed(cell[name], digits) if change else _number(cell[name], digits) for name in names)
    return Cell(value, f"[{low}, {high}]" if np.isfinite(cell[names[1]]) else "")


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", MINUS)


def printed_multiplier(value: float) -> str:
    """A λ as shown."""
    return f"{value:g}".replace("-", MINUS)
