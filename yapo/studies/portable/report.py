"""Report of ``portable``: scores of small, free-standing vectors, over all countries."""

from __future__ import annotations

from typing import Any

import pandas as pd

from yapo.checks import TASKS, Task, one_of
from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.evaluation.bootstrap import resampled_means
from yapo.paths import Paths
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import change_cell, counts_cell, failed, number, number_cell, score_digits
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table, write_tables
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.means import failure_rate, highest_scores, printed_scores, with_changes

READS = ("report", "judge", "methods")
KEYS = ["task", "method", "form"]
NAME = "portable"


def main(config: Config) -> None:
    """Write ``tables/portable.*``."""
    paths = Paths.of(config)
    countries = countries_of(config, known_countries(config.data))
    rows = pd.concat(
        [read_table(paths.portable_scores(language_folder, country)) for country, language_folder in countries.items()]
    )
    write_tables({NAME: portable_table(rows.reset_index(drop=True), table_options(config))}, paths.root / "tables")


def portable_table(rows: pd.DataFrame, options: TableOptions) -> Table:
    """Return the mean validation score of each form over all vectors of a method, and its difference from the whole vector.

    Args:
        rows: one row per validation item, vector and form, with the columns of the stage ``portable``.
        options: see ``TableOptions``.

    Raises:
        YapoError: no method of the study has sparse vectors.
    """
    if rows.empty:
        raise YapoError("no method of this study has sparse vectors; add sas or yapo to methods")
    data = portable_cells(rows.assign(score=printed_scores(rows)), options)
    groups = []
    for key, part in data.groupby("task", sort=False):
        task = one_of("task", key, TASKS)
        methods = ordered("method", part["method"])
        lines = []
        for form in _forms(part["form"]):
            found = {str(record["method"]): record for record in records(part[part["form"] == form])}
            cells = [cell for method in methods for cell in _cells(found.get(method), task)]
            lines.append(TableRow((_name(form),), tuple(cells)))
        groups.append(Group(label("task", task), tuple(lines)))
    methods = ordered("method", data["method"])
    sheet = Sheet(
        name=NAME,
        title="Free-standing vectors",
        caption=(
            "Validation score of sparse vectors in forms that need no autoencoder: "
            f"{options.scores(rows['task'])}, mean over all countries and settings."
        ),
        notes=(
            "Top k: the k features that can move the residual stream furthest, by |v| times the norm of the decoder row. "
            "Dense: one constant displacement, the mean of what the vector does to training tokens.",
            f"Brackets: {options.brackets()}.",
        ),
        heads=("Form",),
        columns=tuple(f"{label('method', m)} {what}" for m in methods for what in ("features", "score", "change", "n")),
        groups=tuple(groups),
    )
    return make_table(sheet, data, options.note)


def portable_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return ``KEYS``, features, n, n_facts, value, low, high, change, change_low, change_high, parse_failure_rate."""
    draws = resampled_means(rows, KEYS, resamples=options.resamples, seed=options.seed)
    counts = rows.groupby(KEYS, sort=False).agg(
        features=("features", "mean"),
        n=("score", "count"),
        n_facts=("question_id", "nunique"),
        parse_failure_rate=("parsed", failure_rate),
    )
    whole = pd.MultiIndex.from_tuples([(task, method, "whole") for task, method, _ in draws.index], names=KEYS)
    found = with_changes(draws, whole, options, facts=counts["n_facts"], top=highest_scores(draws))
    return pd.concat([counts.loc[draws.index], found], axis=1).reset_index()


def _forms(forms: pd.Series) -> list[str]:
    """Return the forms in order: whole vector, fewer and fewer features, dense."""
    sizes = sorted((form for form in set(forms) if form.isdigit()), key=int, reverse=True)
    return ["whole", *sizes, "dense"]


def _name(form: str) -> str:
    return {"whole": "Whole vector", "dense": "Dense stand-in"}.get(form, f"Top {form} features")


def _cells(record: dict[str, Any] | None, task: Task) -> list[Cell | None]:
    if record is None:
        return [None, None, None, None]
    digits = score_digits(task)
    score = number_cell(record, digits, failures=failed(record["parse_failure_rate"]))
    return [Cell(number(record["features"], 0)), score, change_cell(record, digits), counts_cell(record)]


if __name__ == "__main__":
    run(main)
