"""Report of ``lambda_sweep``: the sweep over all its countries, as table, figures and finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yapo.checks import TASKS, Setting, Task, Variant, one_of
from yapo.config import Config
from yapo.errors import YapoError
from yapo.reporting import style
from yapo.reporting.cells import TOP, records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import (
    change,
    change_cell,
    counts_cell,
    mean_over_countries,
    number,
    number_cell,
    plural,
    score_digits,
    short,
)
from yapo.reporting.render import MINUS, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.means import Records, by_key, country_means, printed_scores, with_changes
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.lambda_sweep.settings")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "lambda_sweep"
PANEL = ["task", "variant", "setting"]
POINT = ["method", "multiplier"]
MEASURES = ("score", "unparsed", "log_prob", "repeated")
_GOLD_COLOUR = "#5c940d"  # no method's colour
_NO_BANDS = "Intervals are left out here: they are wider than what the curves show."
_MEASURES_DRAWN = {
    "score": "",
    "unparsed": "Parse\nfailures (%)",
    "log_prob": "Log-prob. per\ntoken (nats)",
    "repeated": "Repeated\ntrigrams (%)",
}


def main(config: Config) -> None:
    """Write ``tables/lambda_sweep.*``, ``figures/lambda_sweep_<setting>[_displacement].*`` and ``studies/lambda_sweep.json``."""
    rows, options = read_rows(config, NAME), table_options(config)
    cells, best = sweep_cells(rows, options), best_multipliers(rows, options)
    by_country = rows.groupby(["task", "variant", "country"])["gold_log_prob"].mean()
    gold = by_country.groupby(["task", "variant"]).mean()
    figures = {
        f"{NAME}_{setting}{over}": sweep_figure(cells, gold, setting, by_displacement=bool(over), note=options.note)
        for setting in config.studies.lambda_sweep.settings
        for over in ("", "_displacement")
    }
    values, tables = finding_values(rows, cells, best), {NAME: lambda_sweep_table(rows, cells, best, options)}
    write_report(config, NAME, FINDING, values, tables, figures)


def sweep_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the mean over countries of every measure at every point of the grid.

    Args:
        rows: rows of the stage ``lambda_sweep``, of all countries.
        options: resamples, confidence and seed.

    Returns:
        ``PANEL``, ``POINT`` and ``measure`` (``MEASURES``; unparsed and repeated in percent), then ``value, low, high``, the
        difference from the unsteered model ``change, change_low, change_high``, ``n``, ``n_facts``, ``countries`` and
        ``displacement``. λ = 0 is the method "baseline".
    """
    if rows.empty:
        raise YapoError("no rows of the λ sweep; name countries of this experiment in studies.lambda_sweep.countries")
    frames = []
    for panel, part in rows.groupby(PANEL, sort=False):
        draws = _draws(part, options)
        measures = draws.index.get_level_values("measure")
        counts = part.groupby(POINT, sort=False).agg(
            n=("score", "count"),
            n_facts=("question_id", "nunique"),
            countries=("country", "nunique"),
            displacement=("displacement", "mean"),
        )
        highest = TOP[one_of("task", panel[0], TASKS)]
        top = measures.map({"score": highest, "unparsed": 100.0, "repeated": 100.0})  # log-probabilities have no end
        base = pd.MultiIndex.from_tuples([(name, "baseline", 0.0) for name in measures], names=draws.index.names)
        facts = counts["n_facts"].reindex(draws.droplevel("measure").index).set_axis(draws.index)
        cells = with_changes(draws, base, options, facts=facts, top=top).reset_index()
        cells[PANEL] = [str(value) for value in panel]
        frames.append(cells.merge(counts.reset_index(), on=POINT))
    made, first = pd.concat(frames, ignore_index=True), [*PANEL, *POINT, "measure"]
    return made[[*first, *(name for name in made.columns if name not in first)]]


def best_multipliers(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the λ of the highest mean score: ``PANEL``, ``method``, ``best``, ``best_low``, ``best_high``.

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
            curve = pd.concat([base, draws.loc[[method]]])
            lambdas = curve.index.get_level_values("multiplier").to_numpy(dtype=float)
            order = np.argsort(np.abs(lambdas), kind="stable")
            best = lambdas[order][curve.to_numpy()[order].argmax(axis=0)]
            low, high = np.quantile(best[1:], [tail, 1 - tail], method="nearest") if len(best) > 1 else (np.nan, np.nan)
            found.append((*panel, method, best[0], low, high))
    return pd.DataFrame(found, columns=[*PANEL, "method", "best", "best_low", "best_high"])


def _draws(part: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return draws of the mean over countries of every measure at every point of one panel."""
    values = {
        "score": printed_scores(part),
        "unparsed": 100.0 * (1.0 - part["parsed"].astype(float)),
        "log_prob": part["log_prob"],
        "repeated": 100.0 * part["repeated"],
    }
    place = part[["country", "question_id", *POINT]]
    long = pd.concat([place.assign(measure=name, score=value) for name, value in values.items()])
    return country_means(long, ["measure", *POINT], options)


def lambda_sweep_table(rows: pd.DataFrame, cells: pd.DataFrame, best: pd.DataFrame, options: TableOptions) -> Table:
    """Return the table: best λ of every method, what it brings, and what λ = ±1 brings and costs.

    Args:
        rows: rows of the stage ``lambda_sweep``, of all countries.
        cells: from ``sweep_cells``.
        best: from ``best_multipliers``.
        options: see ``TableOptions``.
    """
    at = by_key(cells, [*PANEL, *POINT, "measure"])
    groups = []
    for task in ordered("task", cells["task"]):
        for variant in ordered("variant", cells["variant"]):
            lines = []
            for setting in ordered("setting", cells["setting"]):
                panel = (task, variant, setting)
                of_panel = best[(best[PANEL] == panel).all(axis=1)]
                lines.append(TableRow((label("setting", setting), label("method", "baseline")), _baseline(at, panel)))
                lines += [
                    TableRow((label("setting", setting), label("method", str(row["method"]))), _line(at, panel, row))
                    for row in records(in_order(of_panel, ["method"]))
                ]
            groups.append(Group(f"{label('task', task)}, {label('variant', variant).lower()} questions", tuple(lines)))
    sheet = Sheet(
        name=NAME,
        title="All multipliers",
        caption=(
            "Every method's vectors on one grid of multipliers, on validation questions: "
            f"{options.scores(cells['task'])}, mean over {plural(int(cells['countries'].max()), 'country')}. "
            "Vectors: by the questions they were trained on."
        ),
        notes=(
            "Best λ is the highest mean score of this very grid, chosen on the questions on which it is scored: the score there "
            "tends to be too high, by an amount that need not be the same for every method; brackets: "
            f"{options.level} interval of the best λ over {options.resamples:,} resamples of facts.",
            "Other brackets: bootstrap interval of the value or of its difference from the baseline, over the same resamples; "
            "where all facts are alike, as when every answer is right, Clopper and Pearson's interval over facts.",
            "Log-prob: change of the mean log-probability per token (nats) of what was said, under the unsteered model. "
            + _gold(rows, cells),
            "Repeated: share of token trigrams that occurred before in the same answer. Displacement: mean change of the "
            "residual stream per token. Random: a random direction with the displacement of the strongest vector at λ = 1.",
        ),
        heads=("Vectors", "Method"),
        columns=(
            "Best λ", "Score there", "Log-prob there", "Score at λ = 1", f"Score at λ = {MINUS}1", "Log-prob at λ = 1",
            "Repeated at λ = 1 (%)", "Unparsed at λ = 1 (%)", "Displacement at λ = 1", "n",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, cells.merge(best, on=[*PANEL, "method"], how="left"), options.note)


def _gold(rows: pd.DataFrame, cells: pd.DataFrame) -> str:
    gap = gold_gap(rows)
    gaps = [
        f"{change(gap[task, variant])} ({label('task', task).lower()}, {label('variant', variant).lower()})"
        for task in ordered("task", cells["task"])
        for variant in ordered("variant", cells["variant"])
    ]
    return f"Right answers differ from the unsteered ones by {', '.join(gaps)}: a change of that size is no loss of coherence."


def gold_gap(rows: pd.DataFrame) -> pd.Series:
    """Return how much likelier right answers are than the unsteered model's, by task and variant, in nats per token.

    Mean over countries, each counted once.
    """
    base = rows[rows["method"] == "baseline"]
    by_country = (base["gold_log_prob"] - base["log_prob"]).groupby([base["task"], base["variant"], base["country"]]).mean()
    return by_country.groupby(["task", "variant"]).mean()


def finding_values(rows: pd.DataFrame, cells: pd.DataFrame, best: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of ``finding.md.j2``, of vectors trained on non-localized questions or else the first setting.

    Args:
        rows, cells, best: as for ``lambda_sweep_table``.
    """
    settings = ordered("setting", cells["setting"])
    setting = "nonlocalized" if "nonlocalized" in settings else settings[0]
    cells, best = (in_order(frame[frame["setting"] == setting], ["task", "method"]) for frame in (cells, best))
    gap = gold_gap(rows)
    tasks = []
    for task in ordered("task", cells["task"]):
        of_task = cells[cells["task"] == task].groupby(["variant", "measure"])
        scores, log_probs, unparsed = (of_task.get_group(("nonlocalized", name)) for name in ("score", "log_prob", "unparsed"))
        tasks.append(
            {
                "name": task,
                "digits": score_digits(task),
                "unsteered": scores.loc[scores["method"] == "baseline", "value"].iloc[0],
                "best": records(best[(best["task"] == task) & (best["variant"] == "nonlocalized")]),
                "changes": [(multiplier, records(scores[scores["multiplier"] == multiplier])) for multiplier in (1.0, -1.0)],
                "localized": records(of_task.get_group(("localized", "score")).query("multiplier == 1")),
                "unparsed": records(unparsed.sort_values("value", ascending=False, kind="stable").head(1))[0],
                "log_probs": records(log_probs[log_probs["multiplier"] == 1.0]),
                "gold": gap[task, "nonlocalized"],
            }
        )
    return {
        "setting": setting,
        "tasks": tasks,
        "lowest": cells["multiplier"].min(),
        "highest": cells["multiplier"].max(),
        **{name: int(cells[name].max()) for name in ("countries", "n", "n_facts")},
    }


def _baseline(at: Records, panel: tuple[Task, Variant, Setting]) -> tuple[Cell | None, ...]:
    score, unparsed, repeats = (at[*panel, "baseline", 0.0, name] for name in ("score", "unparsed", "repeated"))
    score_cell = number_cell(score, score_digits(panel[0]))
    return (None, score_cell, *[None] * 4, number_cell(repeats, 1), number_cell(unparsed, 1), None, counts_cell(score))


def _line(at: Records, panel: tuple[Task, Variant, Setting], best: dict[str, Any]) -> tuple[Cell | None, ...]:
    method, digits = best["method"], score_digits(panel[0])
    there = (method, best["best"]) if best["best"] else ("baseline", 0.0)
    spread = f"[{short(best['best_low'])}, {short(best['best_high'])}]" if np.isfinite(best["best_low"]) else ""
    one, minus = (at.get((*panel, method, multiplier, "score")) for multiplier in (1.0, -1.0))
    log_prob, repeats, unparsed = (at.get((*panel, method, 1.0, name)) for name in ("log_prob", "repeated", "unparsed"))
    score = at[*panel, *there, "score"]
    return (
        Cell(short(best["best"]), spread),
        number_cell(score, digits),
        change_cell(at[*panel, *there, "log_prob"]) if best["best"] else None,
        number_cell(one, digits),
        number_cell(minus, digits),
        change_cell(log_prob),
        number_cell(repeats, 1),
        number_cell(unparsed, 1),
        None if one is None else Cell(number(one["displacement"], 1)),
        counts_cell(score),
    )


@rc_context(style.STYLE)
def sweep_figure(cells: pd.DataFrame, gold: pd.Series, setting: Setting, *, by_displacement: bool, note: str = "") -> Figure:
    """Return curves of score, parse failures and coherence of every method, one column per task and variant.

    Args:
        cells: from ``sweep_cells``.
        gold: mean log-probability of the right answers, by task and variant.
        setting: whose vectors: those trained on these questions.
        by_displacement: x is how far a point moves the residual stream, negative for λ < 0, instead of λ.
        note: sentence printed under the figure.
    """
    cells = cells[cells["setting"] == setting]
    columns = [(t, v) for t in ordered("task", cells["task"]) for v in ordered("variant", cells["variant"])]
    figure = style.new_figure(3.1 * len(columns) + 0.6, 8.6)
    grid = figure.subplots(len(_MEASURES_DRAWN), len(columns), squeeze=False, sharex=True, height_ratios=[3, 1, 1.6, 1])
    methods = [method for method in ordered("method", cells["method"]) if method != "baseline"]
    bands = _bands_leave_room(cells[cells["measure"] == "score"])
    for column, (task, variant) in enumerate(columns):
        here = cells[(cells["task"] == task) & (cells["variant"] == variant)]
        for line, (measure, name) in enumerate(_MEASURES_DRAWN.items()):
            axes = grid[line, column]
            _curves(axes, here[here["measure"] == measure], methods, by_displacement, bands)
            if measure == "log_prob":
                axes.axhline(gold[task, variant], color=_GOLD_COLOUR, linestyle="--", linewidth=1.1)
            if line == 0:
                axes.set_title(f"{label('task', task)},\n{label('variant', variant).lower()}")
                axes.set_ylabel(style.score_name(task).capitalize())
            elif column == 0:
                axes.set_ylabel(name)
        grid[-1, column].set_xlabel("Signed displacement" if by_displacement else "Multiplier (λ)")
    for measure, line in zip(_MEASURES_DRAWN, grid, strict=True):
        if measure in ("unparsed", "repeated"):
            style.share_y(list(line), at_least=5)
    handles = [style.method_handle(method) for method in methods]
    lines = [
        style.handle("unsteered", color=style.colour("baseline"), linestyle=":"),
        style.handle("right answers", color=_GOLD_COLOUR, linestyle="--"),
    ]
    style.legend_below(figure, [*handles, *lines], width=1.45)
    scope = mean_over_countries(int(cells["countries"].max()))
    over = "displacement of the residual stream" if by_displacement else "the multiplier"
    title = f"All methods over {over}, validation, {label('setting', setting).lower()} vectors, {scope}"
    how = "Bands: bootstrap intervals over facts." if bands else f"{_NO_BANDS} The table has them."
    how += " Log-probabilities are the unsteered model's, of what was said."
    if by_displacement:
        how += f" Negative displacement: λ < 0, {MINUS}1 times the mean change of the residual stream per token."
    style.frame_texts(figure, title, how, note)
    return figure


def _curves(axes: Axes, cells: pd.DataFrame, methods: list[str], by_displacement: bool, bands: bool) -> None:
    """Draw one curve per method through the unsteered model at 0."""
    base = cells[cells["method"] == "baseline"]
    axes.axhline(base["value"].iloc[0], color=style.colour("baseline"), linestyle=":", linewidth=1.1, zorder=1)
    axes.axvline(0, color="#c4cad4", linewidth=0.8, zorder=0)
    for method in methods:
        curve = pd.concat([cells[cells["method"] == method], base]).sort_values("multiplier")
        x = np.sign(curve["multiplier"]) * curve["displacement"] if by_displacement else curve["multiplier"]
        if bands:
            axes.fill_between(x, curve["low"], curve["high"], color=style.colour(method), alpha=0.13, linewidth=0)
        axes.plot(x, curve["value"], color=style.colour(method), marker=style.marker(method), markersize=3.2, linewidth=1.3)


def _bands_leave_room(scores: pd.DataFrame) -> bool:
    """Return whether the bands of most points are narrower than half the height of their panel's curves."""
    panel = scores.groupby(["task", "variant"])["value"]
    height = panel.transform("max") - panel.transform("min")
    widths = (scores["high"] - scores["low"])[scores["low"].notna()]
    return bool(len(widths)) and bool((widths < height[widths.index] / 2).mean() > 0.5)


if __name__ == "__main__":
    run(main)
