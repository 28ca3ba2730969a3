"""Report of curation: tables, figure and page of the funnel, and the statistics of the data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from yapo.checks import one_of
from yapo.curation.funnel import ASKED, examples, funnel, reasons
from yapo.curation.steps import MEANINGS, STEPS
from yapo.reporting import style
from yapo.reporting.dataset import dataset_table
from yapo.reporting.html import page, render
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table

PAGE = Path(__file__).with_name("funnel.html.j2")
COLUMNS = [ASKED, *STEPS]
TITLES = {
    ASKED: "Asked",
    "answers": "Answered",
    "existence": "Existence",
    "choices": "Choices",
    "duplicates": "Duplicates",
    "variants": "Two forms",
}
_LEVELS = {"all": "", "country": "By country", "topic": "By topic"}


def funnel_tables(kept: pd.DataFrame, dropped: pd.DataFrame, most: int) -> dict[str, Table]:
    """Return the tables ``funnel``, ``dropped`` and ``examples``.

    Args:
        kept: candidates after the last step.
        dropped: of all steps.
        most: examples of each reason.
    """
    tables = [_funnel_table(funnel(kept, dropped)), _reasons_table(reasons(dropped)), _examples_table(examples(dropped, most))]
    return {table.name: table for table in tables}


def size_tables(items: pd.DataFrame) -> dict[str, Table]:
    """Return the statistics of the data set: topics (the paper's Table 6), and items by country (Table 7)."""
    tables = [_topics_table(items), dataset_table(items, TableOptions())]
    return {table.name: table for table in tables}


def funnel_page(kept: pd.DataFrame, dropped: pd.DataFrame, most: int, figure: str) -> str:
    """Return the page: what every step keeps and drops, with examples.

    Args:
        kept, dropped, most: see ``funnel_tables``.
        figure: address of the picture, as a data URI.
    """
    counts = funnel(kept, dropped).iloc[0]
    shown, totals = examples(dropped, most), reasons(dropped)
    steps = [
        {
            "title": TITLES[step],
            "left": int(counts[step]),
            "reasons": [
                {
                    "reason": str(reason).replace("_", " "),
                    "meaning": MEANINGS[one_of("reason", reason, tuple(MEANINGS))],
                    "n": int(part["n"].sum()),
                    "examples": shown[(shown["step"] == step) & (shown["reason"] == reason)].to_dict("records"),
                }
                for reason, part in totals[totals["step"] == step].groupby("reason", sort=False)
            ],
        }
        for step in STEPS
    ]
    body = render(PAGE, steps=steps, figure=figure)
    caption = f"{counts[ASKED]:,} candidates (a question about a country each); {len(kept):,} are left after the last step."
    return page("What curation kept and dropped", caption, ["Examples are the first of their kind, not a random sample."], body)


@rc_context(style.STYLE)
def funnel_figure(kept: pd.DataFrame, dropped: pd.DataFrame) -> Figure:
    """Return the share of candidates that is left after each step: over all, and by country and category of topics."""
    counts = funnel(kept, dropped)
    totals, by_country = counts.iloc[0], counts[counts["level"] == "country"].set_index("name")
    countries = ordered("country", by_country.index)
    figure = style.new_figure(9.6, max(2.6, 0.3 * len(countries) + 1.4))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    before = totals[ASKED]
    for line, column in enumerate(COLUMNS):
        gone = before - totals[column]
        left.barh(line, totals[column], color=style.colour("yapo"), height=0.72)
        left.barh(line, gone, left=totals[column], color=style.colour("bipo"), height=0.72)
        left.text(before, line, f" {totals[column]:,}" + (f" ({MINUS}{gone:,})" if gone else ""), va="center")
        before = totals[column]
    left.set_xlim(0, 1.3 * max(1, totals[ASKED]))
    left.set_xlabel("Candidates left")
    left.set_title("All countries")
    style.name_lines(left, [TITLES[column] for column in COLUMNS])
    shares = by_country.loc[countries, COLUMNS].div(by_country.loc[countries, ASKED], axis=0).to_numpy(dtype=float)
    right.imshow(shares, cmap="Blues", vmin=0, vmax=2, aspect="auto")
    for line, row in enumerate(shares):
        for place, share in enumerate(row):
            right.text(place, line, f"{100 * share:.0f}", ha="center", va="center", color=style.INK)
    right.set_xticks(range(len(COLUMNS)), [TITLES[column] for column in COLUMNS], rotation=30, ha="right")
    right.grid(visible=False)
    right.set_title("Left by country, in %")
    style.name_lines(right, [label("country", country) for country in countries])
    style.frame_texts(
        figure, "What curation kept", "A candidate is one question asked about one country. Orange: dropped by the step."
    )
    return figure


def _funnel_table(counts: pd.DataFrame) -> Table:
    groups = []
    for level, rows in counts.groupby("level", sort=False):
        by_name = {str(row["name"]): row for row in rows.to_dict("records")}
        keys = ordered("country", by_name) if level == "country" else list(by_name)
        lines = [
            TableRow((_name(str(level), key),), tuple(Cell(f"{int(by_name[key][column]):,}") for column in COLUMNS))
            for key in keys
        ]
        groups.append(Group(_LEVELS[str(level)], tuple(lines)))
    return make_table(
        Sheet(
            name="funnel",
            title="What curation kept",
            caption="Candidates, a question about a country each, that are left after each step.",
            notes=(),
            heads=("",),
            columns=tuple(TITLES[column] for column in COLUMNS),
            groups=tuple(groups),
        ),
        counts,
    )


def _reasons_table(counts: pd.DataFrame) -> Table:
    lines = [
        TableRow((TITLES[str(step)], str(reason).replace("_", " ")), (Cell(f"{int(part['n'].sum()):,}"),))
        for (step, reason), part in counts.groupby(["step", "reason"], sort=False)
    ]
    return _one_group(
        "dropped",
        "What curation dropped",
        "Dropped candidates by step and reason.",
        ("Step", "Reason"),
        ("Candidates",),
        lines,
        counts,
    )


def _examples_table(shown: pd.DataFrame) -> Table:
    lines = [
        TableRow(
            (str(row["reason"]).replace("_", " "), str(row["detail"])),
            (Cell(str(row["question_id"])), Cell(label("country", str(row["country"])))),
        )
        for row in shown.to_dict("records")
    ]
    caption = "The first dropped candidates of each step and reason."
    return _one_group(
        "examples", "Examples of what curation dropped", caption, ("Reason", "Text"), ("Question", "Country"), lines, shown
    )


def _topics_table(items: pd.DataFrame) -> Table:
    by = ["category", "topic"]
    counts = items.groupby(by, sort=False).agg(questions=("question_id", "nunique"), items=("question", "size")).reset_index()
    lines = [
        TableRow(
            (str(row["category"]), str(row["topic"]).replace("_", " ")),
            (Cell(f"{row['questions']:,}"), Cell(f"{row['items']:,}")),
        )
        for row in counts.sort_values(by).to_dict("records")
    ]
    caption = "Questions and items by category and topic; an item is one form of a question about one country."
    return _one_group("table6_topics", "Topics", caption, ("Category", "Topic"), ("Questions", "Items"), lines, counts)


def _one_group(
    name: str,
    title: str,
    caption: str,
    heads: tuple[str, ...],
    columns: tuple[str, ...],
    lines: Sequence[TableRow],
    data: pd.DataFrame,
) -> Table:
    return make_table(Sheet(name, title, caption, (), heads, columns, (Group("", tuple(lines)),)), data)


def _name(level: str, key: str) -> str:
    names: Mapping[str, str] = {"all": "All", "country": label("country", key), "topic": key.replace("_", " ")}
    return names[level]
