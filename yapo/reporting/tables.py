"""The paper's tables for every method, from test results to csv, Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from yapo import files
from yapo.evaluation import metrics
from yapo.reporting import cells as numbers
from yapo.reporting.examples import choose_examples, examples_html, examples_markdown
from yapo.reporting.html import table_page
from yapo.reporting.names import label, ordered
from yapo.reporting.render import Cell, Group, Row, Sheet, csv, latex, markdown
from yapo.reporting.sheets import Layout, groups_of, notes_of
from yapo.reporting.words import edge_note, scores_told

TABLE_NAMES = (
    "summary",
    "table1_mcq",
    "table2_open_ended",
    "table3_rca_pnlg_language",
    "table3_rca_pnlg_language_instance",
    "table5_rca_pnlg_country",
    "table5_rca_pnlg_country_instance",
    "table7_dataset",
    "examples",
)
SUFFIXES = ("csv", "md", "tex", "html")
"""Every table is written with every suffix, except that ``examples`` has no ``tex``."""


@dataclass(frozen=True)
class TableOptions:
    """What the caller decides about the tables.

    Attributes:
        resamples: bootstrap resamples; 0 leaves the intervals out.
        confidence: mass of the intervals.
        seed: seed of the resampling and of the choice of examples.
        scorer: who gave the open-ended scores; named in every caption that shows them.
        note: sentence printed under every table.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0
    scorer: str = "offline reference"
    note: str = ""


@dataclass(frozen=True)
class Table:
    """One table: its numbers as a tidy frame, and the text of its files by suffix."""

    name: str
    data: pd.DataFrame
    texts: Mapping[str, str]


def build_tables(evaluation: pd.DataFrame, items: pd.DataFrame, options: TableOptions) -> dict[str, Table]:
    """Make every table of ``TABLE_NAMES``.

    Args:
        evaluation: test results, one row per item, method, task and setting.
        items: all items of the study.
        options: see ``TableOptions``.

    Returns:
        Tables by name. A table whose task or settings were not evaluated is there, without rows.

    Raises:
        YapoError: the evaluation is empty or lacks a column, or an option is impossible.
    """
    rows = numbers.printed_units(evaluation)
    scores = numbers.country_scores(rows, resamples=options.resamples, seed=options.seed)
    by_country = numbers.score_draws(scores)
    tasks = by_country.index.get_level_values("task")
    ends = metrics.country_metrics(numbers.corners(scores, rows, options.confidence))
    made = [
        _score_table("summary", numbers.summary_draws(scores), rows, options),
        _score_table("table1_mcq", by_country[tasks == "mcq"], rows, options),
        _score_table("table2_open_ended", by_country[tasks == "open_ended"], rows, options),
    ]
    definitions = {
        "": metrics.country_metrics(scores),
        "_instance": numbers.instance_draws(rows, resamples=options.resamples, seed=options.seed),
    }
    for suffix, country in definitions.items():
        # Instance-wise values are means over pairs of prompts, which have bounds of their own.
        for name, draw in (
            ("table3_rca_pnlg_language", numbers.language_draws),
            ("table5_rca_pnlg_country", numbers.country_draws),
        ):
            made.append(_metric_table(f"{name}{suffix}", draw(country), rows, options, None if suffix else draw(ends)))
    made.append(_dataset_table(items, options))
    made.append(_examples(evaluation, items, options))
    by_name = {table.name: table for table in made}
    return {name: by_name[name] for name in TABLE_NAMES}


def write_tables(tables: Mapping[str, Table], folder: Path) -> list[Path]:
    """Write every file of every table as ``folder/<name>.<suffix>``; equal tables give equal bytes."""
    paths = []
    for table in tables.values():
        for suffix, text in table.texts.items():
            paths.append(folder / f"{table.name}.{suffix}")
            files.write_text(paths[-1], text)
    return paths


_SCORE_TITLES = {
    "summary": "Summary over countries",
    "table1_mcq": "Multiple-choice accuracy by country",
    "table2_open_ended": "Open-ended scores by country",
}
_PNLG_NOTE = "PNLG is (localized - non-localized) / their mean: closer to 0 is better, below 0 the gap is reversed."
_OVERALL_NOTE = "Overall: mean of the printed language rows, each language counted once, as in the paper."
_AVERAGE_NOTE = "Average: unweighted mean over the countries of a language."


def _score_table(name: str, draws: pd.DataFrame, rows: pd.DataFrame, options: TableOptions) -> Table:
    data = numbers.cells(draws, rows, options.confidence)
    open_ended = f"open-ended score (0 to 10; scorer: {options.scorer})"
    told = scores_told(data["task"], options.scorer).replace(" and open", " and of the open")
    countries = rows.drop_duplicates(["language", "country"])
    where = "Mean over all countries" if len(countries) > 1 else f"For {label('country', countries['country'].iloc[0])}: mean"
    caption = {
        "summary": f"{where} of {told}, on test questions.",
        "table1_mcq": "Multiple-choice accuracy (%) on test questions by language, country and setting.",
        "table2_open_ended": f"Mean {open_ended} on test questions by language, country and setting.",
    }[name]

    def digits(cell: Mapping[str, Any]) -> int:
        return 1 if cell["task"] == "mcq" else 2

    if name == "summary":
        layout = Layout(("task",), ("setting",), digits, notes=edge_note(draws))
    else:
        layout = Layout(("setting",), ("language", "country"), digits, notes=(_AVERAGE_NOTE, *edge_note(draws)))
    return _method_table(name, _SCORE_TITLES[name], caption, data, layout, options)


def _metric_table(name: str, draws: pd.DataFrame, rows: pd.DataFrame, options: TableOptions, ends: pd.DataFrame | None) -> Table:
    data = numbers.cells(draws, rows, options.confidence, ends)
    by_country, instance = "country" in data, name.endswith("_instance")
    heads = ("language", "country") if by_country else ("language",)
    how = "means over pairs of prompts (the definition, equations 5 and 6)" if instance else "from mean scores per country"
    scorer = f" Open-ended scorer: {options.scorer}." if (rows["task"] == "open_ended").any() else ""
    caption = f"RCA and PNLG by {heads[-1]}, {how}.{scorer}"
    title = f"RCA and PNLG by {heads[-1]}" + (", instance-wise" if instance else "")
    headings: dict[tuple[str, ...], str] = {
        ("rca", "mcq"): "RCA, multiple choice (%, higher is better)",
        ("rca", "open_ended"): f"RCA, open-ended ({'% of 10' if by_country else '0 to 10'}, higher is better)",
        ("pnlg", "mcq"): "PNLG, multiple choice (closer to 0 is better)",
        ("pnlg", "open_ended"): "PNLG, open-ended (closer to 0 is better)",
    }

    def digits(cell: Mapping[str, Any]) -> int:
        return 1 if by_country and cell["metric"] == "rca" else metrics.PRINTED_DIGITS[cell["task"], cell["metric"]]

    notes = (_PNLG_NOTE, *(() if by_country else (_OVERALL_NOTE,)), *edge_note(draws))
    layout = Layout(("metric", "task"), heads, digits, headings, notes)
    return _method_table(name, title, caption, data, layout, options)


def _dataset_table(items: pd.DataFrame, options: TableOptions) -> Table:
    counts = numbers.dataset_totals(numbers.dataset_cells(items))
    columns = ["localized", "nonlocalized", "total"]
    rows = []
    for line in numbers.records(counts):
        heads = (label("language", line["language"]), "" if line["country"] == "Total" else label("country", line["country"]))
        cells = tuple(Cell(f"{line[column]:,}") for column in columns)
        rows.append(Row(heads, cells, aggregate=line["country"] in ("Subtotal", "Total")))
    data = counts.melt(["language", "country"], columns, "variant", "items")
    sheet = Sheet(
        name="table7_dataset",
        title="Data set",
        caption="Number of items by language, country and variant, over all splits.",
        notes=(options.note,) if options.note else (),
        heads=("Language", "Country"),
        columns=("Localized", "Non-localized", "Total"),
        groups=(Group("", tuple(rows)),),
    )
    return make_table(sheet, data)


def _examples(evaluation: pd.DataFrame, items: pd.DataFrame, options: TableOptions) -> Table:
    chosen = choose_examples(evaluation, items, options.seed)
    caption = "Test questions of one country per language, with the gold answer and what each method answered."
    if (chosen["task"] == "open_ended").any():
        caption += f" Open-ended scores are on a scale of 0 to 10 (scorer: {options.scorer})."
    notes = (
        "No random sample: of the test questions those on which the methods differ most, the same for all methods.",
        *([options.note] if options.note else []),
    )
    texts = {
        "csv": csv(chosen),
        "md": examples_markdown(chosen, caption, notes),
        "html": examples_html(chosen, caption, notes),
    }
    return Table("examples", chosen, texts)


def _method_table(name: str, title: str, caption: str, data: pd.DataFrame, layout: Layout, options: TableOptions) -> Table:
    notes = notes_of(data, layout, options.resamples, options.confidence)
    sheet = Sheet(
        name=name,
        title=title,
        caption=caption,
        notes=(*notes, *([options.note] if options.note else [])),
        heads=tuple(head.capitalize() for head in layout.heads),
        columns=tuple(label("method", key) for key in ordered("method", data["method"])),
        groups=groups_of(data, layout),
    )
    return make_table(sheet, data)


def make_table(sheet: Sheet, data: pd.DataFrame) -> Table:
    """A table in every format."""
    texts = {"csv": csv(data), "md": markdown(sheet), "tex": latex(sheet), "html": table_page(sheet)}
    return Table(sheet.name, data, texts)
