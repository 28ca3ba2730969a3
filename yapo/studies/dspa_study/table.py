"""DSPA with one thing changed at a time: the numbers and the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from yapo.checks import TASKS, Task, one_of
from yapo.errors import YapoError
from yapo.reporting.cells import TOP, records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import bounds, change_cell, failed, mean_over_countries, number, number_cell, percent, score_digits
from yapo.reporting.render import DAGGER, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.studies.means import Records, by_key, country_means, failure_rate, printed_scores, with_changes

NAME = "dspa_study"
BASELINE, OWN, PAIRS = "baseline", "setting", "pairs"
STRENGTHS = {"one": "λ = 1", "chosen": "chosen λ"}
STEP = ["change", "value"]
DIFFERENCE = bounds("diff")
HEADINGS = {
    OWN: "The experiment's setting",
    PAIRS: "Training pairs (N)",
    "k_prompt": "Prompt features (k_prompt)",
    "k_diff": "Edited features (k_diff)",
    "alpha": "Step (α)",
    "mode": "What is edited",
    "layers": "Layers (read to edited)",
    "percentile": "Gate percentile",
    "normalise": "Rows of the map divided by",
    "sparsify": "Entries left out by",
    "demix": "De-mixing",
    "gate_fires": "A gate needs a density above 0",
    "count_template": "The template's tokens count",
    "count_end": "The end of an answer counts",
    "edits": "Tokens that are edited",
    "signed": "Only scores of the right sign",
    "turns": "Prompt of a later turn",
}
# Options whose values have an order and are drawn as curves; the other changes are drawn as differences.
CURVES = (PAIRS, "alpha")


def study_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the mean over countries of every change, in printed units. Subsets of one N are pooled.

    Args:
        rows: rows of the stage ``dspa_study``, of all countries.
        options: resamples, confidence and seed.

    Returns:
        ``task, strength, change, value``, then ``score, low, high``, the paired difference from the experiment's setting ``diff,
        diff_low, diff_high``, the lowest and highest subset ``lowest, highest``, ``n``, ``n_facts``, ``countries``, ``unparsed``,
        ``entries``, ``pairs``, and the features of the autoencoders ``width_in, width_out``. What one of the
        countries lacks is left out.
    """
    if rows.empty:
        raise YapoError("no rows of the DSPA study; name countries of this experiment in studies.dspa_study.countries")
    frames = []
    for (name, strength), part in rows.groupby(["task", "strength"], sort=False):
        task = one_of("task", name, TASKS)
        scored = part.assign(score=printed_scores(part))
        draws, counts = country_means(scored, STEP, options), _counts(scored)
        base = pd.MultiIndex.from_tuples([(OWN, "")] * len(draws), names=draws.index.names)
        cells = with_changes(draws, base, options, facts=counts["n_facts"], top=TOP[task], names=DIFFERENCE)
        cells = cells.rename(columns={"value": "score"}).join(counts)
        frames.append(cells.reset_index().assign(task=task, strength=str(strength)))
    made = pd.concat(frames, ignore_index=True)
    first = ["task", "strength", *STEP]
    return made[[*first, *(name for name in made.columns if name not in first)]]


def _counts(rows: pd.DataFrame) -> pd.DataFrame:
    by_draw = rows.groupby([*STEP, "draw", "country"])["score"].mean().groupby([*STEP, "draw"]).mean()
    counted = rows.groupby(STEP).agg(
        n=("score", "count"),
        n_facts=("question_id", "nunique"),
        countries=("country", "nunique"),
        unparsed=("parsed", failure_rate),
        entries=("entries", "mean"),
        pairs=("pairs", "mean"),
        width_in=("width_in", "max"),
        width_out=("width_out", "max"),
    )
    spread = by_draw.groupby(STEP).agg(lowest="min", highest="max")
    return counted.join(spread)


def with_own(cells: pd.DataFrame, own_values: Mapping[str, str]) -> pd.DataFrame:
    """Return the cells with the experiment's setting as one more value of each change, ``is_own``, in the order of the values.

    Args:
        cells: what ``study_cells`` returned.
        own_values: the experiment's value of each change.
    """
    setting = cells[cells["change"] == OWN]
    parts = [cells[cells["change"].isin([BASELINE, OWN])].assign(is_own=False)]
    for change in [name for name in HEADINGS if name in set(cells["change"]) - {OWN}]:
        mine = setting.assign(change=change, value=own_values[change], is_own=True)
        both = pd.concat([cells[cells["change"] == change].assign(is_own=False), mine], ignore_index=True)
        parts.append(both.sort_values("value", key=lambda values: values.map(_rank), kind="stable"))
    return pd.concat(parts, ignore_index=True)


def _rank(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return np.inf, value


def skipped_sizes(rows: pd.DataFrame, asked: Sequence[int]) -> str:
    """Return the note on sizes N that were not tried in all countries; empty where all were.

    Args:
        rows: rows of the stage ``dspa_study``, of all countries.
        asked: every N that was asked for.
    """
    there = rows[rows["change"] == OWN].groupby(["task", "country"], sort=False)["pairs"].max()
    told = []
    for task in ordered("task", rows["task"]):
        pairs_of = there[task]
        sizes = [str(n) for n in sorted(asked) if n >= pairs_of.min()]
        if sizes:
            least = ", ".join(
                f"{label('country', country)} {pairs_of[country]:,}" for country in ordered("country", pairs_of.index)
            )
            told.append(f"{label('task', task)}, N = {', '.join(sizes)}: no fewer than all pairs of a country ({least}).")
    return " ".join(["Not tried.", *told]) if told else ""


def _widths(cells: pd.DataFrame) -> str:
    """Return the note on the widths of the layers' autoencoders; empty where all are equal."""
    widths: dict[int, int] = {}
    for record in records(cells[cells["change"] == "layers"]):
        low, high = map(int, record["value"].split(" to "))
        widths |= {low: record["width_in"], high: record["width_out"]}
    if len(set(widths.values())) < 2:
        return ""
    told = ", ".join(f"{width:,} after layer {layer}" for layer, width in sorted(widths.items()))
    return f"The autoencoders differ in features ({told}), so a difference between layers may be one between autoencoders."


def study_table(cells: pd.DataFrame, options: TableOptions, skipped: str = "") -> Table:
    """Return score and difference from the setting, by task and strength; one group per change.

    Args:
        cells: what ``with_own`` returned.
        options: see ``TableOptions``.
        skipped: what ``skipped_sizes`` returned.
    """
    tasks = ordered("task", cells["task"])
    columns = [(task, strength) for task in tasks for strength in STRENGTHS]
    found = by_key(cells, ["change", "value", "task", "strength"])
    groups = []
    for change, heading in HEADINGS.items():
        values = list(dict.fromkeys(cells.loc[cells["change"] == change, "value"]))
        lines = [TableRow(("Unsteered",), _cells(found, (BASELINE, ""), columns), aggregate=True)] if change == OWN else []
        for value in values:
            first = found[change, value, *columns[0]]
            name = "DSPA" if change == OWN else f"{value} (the setting)" if first["is_own"] else value
            lines.append(TableRow((name,), _cells(found, (change, value), columns)))
            if change == PAIRS and not first["is_own"]:
                lines.append(TableRow((f"{value}: subsets",), _spread(found, value, columns), aggregate=True))
        if lines:
            groups.append(Group(heading, tuple(lines)))
    unparsed = cells["unparsed"].max()
    some = cells[cells["change"] == OWN]
    over = mean_over_countries(int(some["countries"].max()))
    sheet = Sheet(
        name=NAME,
        title="DSPA, one change at a time",
        caption=(
            "DSPA on validation questions with one thing changed from the experiment's setting: "
            f"{options.scores(some['task'])}, {over}, at λ = 1 and at the λ that "
            "validation chose for the setting."
        ),
        notes=(
            f"Brackets: {options.brackets()}. Difference: from the experiment's setting at the same λ, over the same resamples.",
            "Training pairs: several subsets of each size, pooled; their intervals cover questions, the lines below them (from "
            "the lowest to the highest subset) the choice of pairs.",
            "Prompt features: what a prompt is known by. Layers: 0-based; the prompt is read after the first, the answer edited "
            "after the second. Rows of the map are divided by all pairs or by those that open the gate, and weighed by the "
            "inverse Gram matrix of the gates where they are de-mixed.",
            "λ was chosen on these very questions for the setting alone, which flatters it there. The setting itself, where it "
            "is not the paper's, was chosen on validation questions such as these: its lead over a change is flattered at either "
            "λ.",
            *(note for note in (skipped, _widths(cells)) if note),
            f"Answers of a cell: {some['n'].max():,} of {some['n_facts'].max()} facts; of N, as many for each subset. "
            + (f"{DAGGER} Some are not readable, up to {percent(unparsed, 1)}." if unparsed > 0 else "All could be read."),
        ),
        heads=("Value",),
        columns=(
            *(f"{label('task', t)}, {text}" for t, s in columns for text in (STRENGTHS[s], f"difference, {STRENGTHS[s]}")),
            "Entries of the map",
        ),
        groups=tuple(groups),
    )
    return make_table(sheet, cells, options.note)


def _cells(found: Records, step: tuple[str, str], columns: list[tuple[Task, str]]) -> tuple[Cell | None, ...]:
    made: list[Cell | None] = []
    for task, strength in columns:
        record = found.get((*step, task, strength))
        if record is None:
            made += [None, None]
            continue
        digits, failures = score_digits(task), failed(record["unparsed"], "unreadable")
        made.append(number_cell(record, digits, names=("score", "low", "high"), failures=failures))
        made.append(None if step[0] == OWN or record["is_own"] else change_cell(record, digits, DIFFERENCE))
    entries = [found[*step, *column]["entries"] for column in columns if (*step, *column) in found]
    return (*made, Cell(f"{np.mean(entries):,.0f}") if step[0] != BASELINE else None)


def _spread(found: Records, value: str, columns: list[tuple[Task, str]]) -> tuple[Cell | None, ...]:
    made: list[Cell | None] = []
    for task, strength in columns:
        record = found.get((PAIRS, value, task, strength))
        ends = [number(record[end], score_digits(task)) for end in ("lowest", "highest")] if record else []
        made += [Cell(" to ".join(ends)) if ends else None, None]
    return (*made, None)
