"""The paper's tables for every method, from test results: tidy cells, printed rows, captions and footnotes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from yapo.checks import Task
from yapo.evaluation import metrics
from yapo.evaluation.bootstrap import alike
from yapo.evaluation.metrics import round_half_up
from yapo.names import AGGREGATES
from yapo.reporting import cells as numbers
from yapo.reporting.cells import records
from yapo.reporting.dataset import dataset_table
from yapo.reporting.examples import examples_table
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import score_digits
from yapo.reporting.option_positions import option_positions
from yapo.reporting.render import DAGGER, DASH, MINUS, Cell, Group, Sheet, TableRow
from yapo.reporting.significance import significance
from yapo.reporting.tables import Table, TableOptions, make_table

TABLE_NAMES = (
    "summary",
    "table1_mcq",
    "table2_open_ended",
    "table3_rca_pnlg_language",
    "table3_rca_pnlg_language_instance",
    "table5_rca_pnlg_country",
    "table5_rca_pnlg_country_instance",
    "table7_dataset",
    "option_positions",
    "significance",
    "examples",
)
"""Every table is written with every suffix, except that ``examples`` has no ``tex``."""

Digits = Callable[[Mapping[str, Any]], int]

_SCORE_TITLES = {
    "summary": "Summary over countries",
    "table1_mcq": "Multiple-choice accuracy by country",
    "table2_open_ended": "Open-ended scores by country",
}
_PNLG_NOTE = "PNLG is (localized - non-localized) / their mean: closer to 0 is better, below 0 the gap is reversed."
_OVERALL_NOTE = "Overall: mean of the printed language rows, each language counted once, as in the paper."
_AVERAGE_NOTE = "Average: unweighted mean over the countries of a language."


def build_tables(
    evaluation: pd.DataFrame,
    items: pd.DataFrame,
    options: TableOptions,
    way: str = "boxed number",
    others: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, Table]:
    """Make every table of ``TABLE_NAMES``.

    Args:
        evaluation: test results, one row per item, method, task and setting.
        items: all items of the study.
        options: see ``TableOptions``.
        way: how multiple choice was answered there, as tables name it.
        others: results of multiple choice answered in other ways, by their names. Tables show them beside the first, and their
            numbers have a column ``way``.

    Returns:
        Tables by name. A table whose task or settings were not evaluated is there, without rows.

    Raises:
        YapoError: the evaluation is empty or lacks a column, or an option is impossible.
    """
    answers = {way: evaluation, **(others or {})}
    results = [Results.of(name, rows, options) for name, rows in answers.items()]
    made = method_tables(results, options)
    made += [dataset_table(items, options), option_positions(answers, items, options)]
    made += [significance(results[0].rows, options), examples_table(evaluation, items, options)]
    by_name = {table.name: table for table in made}
    return {name: by_name[name] for name in TABLE_NAMES}


def method_tables(results: Sequence[Results], options: TableOptions) -> list[Table]:
    """Make the tables with a column for each method: scores, RCA and PNLG.

    Args:
        results: of each way to answer multiple choice.
        options: see ``TableOptions``.
    """
    by_country = [r.mapped(numbers.score_draws) for r in results]
    made = [
        _score_table("summary", [r.mapped(numbers.summary_draws) for r in results], options),
        _score_table("table1_mcq", [r.of_task("mcq") for r in by_country], options),
        _score_table("table2_open_ended", [by_country[0].of_task("open_ended")], options),
    ]
    corners = [numbers.corners(r.draws, r.rows, options.confidence) for r in results]
    macro = [replace(r, ends=ends).mapped(metrics.country_metrics) for r, ends in zip(results, corners, strict=True)]
    # Instance-wise values are means over pairs of prompts, which have bounds of their own.
    instances = [
        replace(r, draws=numbers.instance_draws(r.rows, resamples=options.resamples, seed=options.seed)) for r in results
    ]
    for suffix, read in (("", macro), ("_instance", instances)):
        languages, countries = ([r.mapped(draw) for r in read] for draw in (numbers.language_draws, numbers.country_draws))
        made.append(_metric_table(f"table3_rca_pnlg_language{suffix}", languages, options))
        made.append(_metric_table(f"table5_rca_pnlg_country{suffix}", countries, options))
    return made


@dataclass(frozen=True)
class Results:
    """Test results of one way to answer multiple choice, and the numbers of a table made from them.

    Attributes:
        rows: test rows in printed units.
        draws: draws frame (``yapo.evaluation.metrics``); at first that of mean scores by ``KEYS``.
        ends: see ``yapo.reporting.cells.cells``.
    """

    way: str
    rows: pd.DataFrame
    draws: pd.DataFrame
    ends: pd.DataFrame | None = None

    @classmethod
    def of(cls, way: str, evaluation: pd.DataFrame, options: TableOptions) -> Results:
        """Check test rows and resample their scores."""
        rows = numbers.printed_units(evaluation)
        return cls(way, rows, numbers.country_scores(rows, resamples=options.resamples, seed=options.seed))

    def mapped(self, draw: Callable[[pd.DataFrame], pd.DataFrame]) -> Results:
        """Return the numbers that ``draw`` makes of these."""
        return replace(self, draws=draw(self.draws), ends=None if self.ends is None else draw(self.ends))

    def of_task(self, task: Task) -> Results:
        """Return the numbers of one task."""
        return self.mapped(lambda draws: draws[draws.index.get_level_values("task") == task])


def _cells(parts: Sequence[Results], layout: Layout, options: TableOptions) -> pd.DataFrame:
    """Return tidy cells; those of several ways to answer multiple choice group by group, with a column ``way``."""
    frames = [numbers.cells(part.draws, part.rows, options.confidence, part.ends) for part in parts]
    if len(parts) == 1:
        return frames[0]
    named = [
        frame.assign(way=frame["task"].map({"mcq": p.way, "open_ended": ""})) for frame, p in zip(frames, parts, strict=True)
    ]
    return in_order(pd.concat(named, ignore_index=True), list(layout.by))


@dataclass(frozen=True)
class Layout:
    """Arrangement of tidy cells as a table.

    Attributes:
        by: columns that make a group.
        heads: columns that make a row and its headers.
        digits: decimals of a cell.
        headings: group headings by the values of ``by``; their display names where absent.
        notes: footnotes of this table, before the general ones.
    """

    by: tuple[str, ...]
    heads: tuple[str, ...]
    digits: Digits
    headings: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def _score_table(name: str, parts: Sequence[Results], options: TableOptions) -> Table:
    edges, rows = _edge_note(parts), parts[0].rows
    if name == "summary":
        layout = Layout(("task",), ("setting",), _score_digits, notes=edges)
    else:
        layout = Layout(("setting",), ("language", "country"), _score_digits, notes=(_AVERAGE_NOTE, *edges))
    data = _cells(parts, layout, options)
    told = options.scores(data["task"]).replace(" and open", " and of the open")
    countries = rows.drop_duplicates(["language", "country"])
    where = "Mean over all countries" if len(countries) > 1 else f"For {label('country', countries['country'].iloc[0])}: mean"
    caption = {
        "summary": f"{where} of {told}, on test questions.",
        "table1_mcq": "Multiple-choice accuracy (%) on test questions by language, country and setting.",
        "table2_open_ended": f"Mean {options.scores(['open_ended'])} on test questions by language, country and setting.",
    }[name]
    return _method_table(name, _SCORE_TITLES[name], caption, data, layout, options)


def _score_digits(record: Mapping[str, Any]) -> int:
    return score_digits(record["task"])


def _metric_table(name: str, parts: Sequence[Results], options: TableOptions) -> Table:
    rows = parts[0].rows
    by_country, instance = "country" in parts[0].draws.index.names, name.endswith("_instance")
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

    def digits(record: Mapping[str, Any]) -> int:
        return 1 if by_country and record["metric"] == "rca" else metrics.PRINTED_DIGITS[record["task"], record["metric"]]

    notes = (_PNLG_NOTE, *(() if by_country else (_OVERALL_NOTE,)), *_edge_note(parts))
    layout = Layout(("metric", "task"), heads, digits, headings, notes)
    return _method_table(name, title, caption, _cells(parts, layout, options), layout, options)


def _method_table(name: str, title: str, caption: str, data: pd.DataFrame, layout: Layout, options: TableOptions) -> Table:
    sheet = Sheet(
        name=name + options.suffix,
        title=f"{title}, {options.view}" if options.view else title,
        caption=caption,
        notes=tuple(_notes(data, layout, options)),
        heads=tuple(head.capitalize() for head in layout.heads),
        columns=tuple(label("method", key) for key in ordered("method", data["method"])),
        groups=_groups(data, layout),
    )
    return make_table(sheet, data, options.note)


def _groups(data: pd.DataFrame, layout: Layout) -> tuple[Group, ...]:
    """Arrange tidy cells (``yapo.reporting.cells.cells``, in display order) with one column per method."""
    by, heads, digits = layout.by, layout.heads, layout.digits
    methods = ordered("method", data["method"])
    groups = []
    ways = ["way"] if "way" in data else []
    for group, part in data.groupby([*by, *ways], sort=False):
        key, way = tuple(map(str, group))[: len(by)], str(part["way"].iloc[0]) if ways else ""
        rows = []
        for row, line in part.groupby(list(heads), sort=False):
            names = tuple(map(str, row))
            best = _best(line, digits)
            cells = {
                record["method"]: replace(_cell(record, digits(record)), best=record["method"] in best)
                for record in records(line)
            }
            texts = tuple(label(kind, name) for kind, name in zip(heads, names, strict=True))
            aggregate = any(name in AGGREGATES for name in names)
            rows.append(TableRow(texts, tuple(cells.get(name) for name in methods), _counts(line), aggregate))
        heading = layout.headings.get(key) or ", ".join(label(kind, name) for kind, name in zip(by, key, strict=True))
        groups.append(Group(f"{heading}; {way}" if way else heading, tuple(rows)))
    return tuple(groups)


def _notes(data: pd.DataFrame, layout: Layout, options: TableOptions) -> list[str]:
    """Return the footnotes: the table's own, then the meaning of brackets, bold type, n and the dagger."""
    if data.empty:
        return ["No rows: the task or one of the settings of this table was not evaluated."]
    notes = list(layout.notes)
    if "way" in data:
        first = next(filter(None, data["way"]), "")
        notes.append(f"Each way to answer multiple choice in turn. Epochs and multipliers were chosen by the first, {first}.")
    if data["low"].notna().any():
        notes.append(f"Brackets: {options.brackets()} with all their rows.")
    if data["method"].nunique() > 1:
        notes.append("Bold: best value of the row, also where intervals overlap.")
    members = data[~data[list(layout.heads)].isin(AGGREGATES).any(axis=1)]
    kind = "setting" if "setting" in data else "task"
    sizes: dict[str, list[str]] = {}
    for key, part in members.groupby(kind, sort=False):
        sizes.setdefault(_counts(part), []).append(label(kind, str(key)))
    shown = [size if len(sizes) == 1 else f"{size} in {' / '.join(names)}" for size, names in sizes.items()]
    notes.append(f"Test rows in a cell: {'; '.join(shown)}.")
    failed = data.loc[data["parse_failure_rate"] > 0, "parse_failure_rate"]
    if failed.empty:
        return [*notes, "Parse failures: none in any cell."]
    rates = _span([_percent(failed.min()), _percent(failed.max())])
    return [
        *notes,
        f"{DAGGER} Some completions could not be parsed ({rates} in the marked cells): wrong in multiple choice; "
        "in open-ended scoring, rows without a score are left out.",
    ]


def _edge_note(parts: Sequence[Results]) -> tuple[str, ...]:
    """Return the footnote on the intervals of cells in which all facts are alike, where there are any."""
    if not any(alike(part.draws).any() for part in parts):
        return ()
    return (
        "Where all facts are alike, as when every answer is right or every answer is wrong, a bootstrap sees no spread: the "
        "interval there is Clopper and Pearson's, counted in facts.",
    )


def _best(line: pd.DataFrame, digits: Digits) -> set[str]:
    """Return the methods with the best printed value of a row; none where all agree. PNLG is best closest to 0."""
    printed = {record["method"]: float(round_half_up(record["value"], digits(record))) for record in records(line)}
    pnlg = "metric" in line and bool((line["metric"] == "pnlg").any())
    merit = {name: -abs(value) if pnlg else value for name, value in printed.items() if not math.isnan(value)}
    if len(set(merit.values())) < 2:
        return set()
    return {name for name, value in merit.items() if value == max(merit.values())}


def _cell(record: Mapping[str, Any], digits: int) -> Cell:
    def number(name: str, sign: str = "-", digits: int = digits) -> str:
        value = float(record[name])
        return DASH if math.isnan(value) else f"{float(round_half_up(value, digits)):{sign}.{digits}f}".replace("-", MINUS)

    def interval(low: str, high: str, sign: str = "-") -> str:
        short = min(digits, 2)  # a third decimal of a bootstrap bound is noise, and widens the column
        return "" if math.isnan(record[low]) else f"[{number(low, sign, short)}, {number(high, sign, short)}]"

    compared = record["method"] != "baseline" and not math.isnan(record["delta_vs_baseline"])
    delta = number("delta_vs_baseline", "+") if compared else ""
    failures = record["parse_failure_rate"]
    detail = f"n = {record['n']:,} rows of {record['n_facts']:,} facts; parse failures {_percent(failures)}"
    if compared:
        detail += f"; difference from baseline {delta} {interval('delta_low', 'delta_high', '+')}".rstrip()
    unparsed = f"{_percent(failures)} unparsed" if failures > 0 else ""
    return Cell(number("value"), interval("low", "high"), delta, unparsed, detail)


def _counts(line: pd.DataFrame) -> str:
    rows = _span([f"{line['n'].min():,}", f"{line['n'].max():,}"])
    facts = _span([f"{line['n_facts'].min():,}", f"{line['n_facts'].max():,}"])
    return f"n = {rows} ({facts} facts)"


def _span(ends: Sequence[str]) -> str:
    return ends[0] if ends[0] == ends[1] else f"{ends[0]}{DASH}{ends[1]}"


def _percent(rate: float) -> str:
    return "<0.1%" if 0 < rate < 0.0005 else f"{float(round_half_up(100 * rate, 1)):.1f}%"
