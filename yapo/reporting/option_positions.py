"""The table ``option_positions``: how often each position among the options is chosen, and how often it is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from yapo.evaluation.bootstrap import differences, intervals, resampled_means
from yapo.evaluation.exact import parse_choice
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import bounds, change, interval, number
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table

NAME = "option_positions"
RIGHT, NONE = "right answer", "none"
_ITEM = ["language", "country", "question_id", "variant", "phrasing"]
_CELL = ["way", "setting", "chosen_by", "position"]
_DIFFERENCE = bounds("difference")


def option_positions(answers: Mapping[str, pd.DataFrame], items: pd.DataFrame, options: TableOptions) -> Table:
    """Make the table.

    Args:
        answers: test results by the way in which multiple choice was answered.
        items: all items of the study; the source of the options.
        options: see ``TableOptions``.

    Returns:
        A table without rows where there is no multiple choice. Its numbers are in percent of the test rows of all countries:
        ``value`` with its interval, and ``difference``, the value less that of the right answer. ``position`` counts from 1;
        ``none`` is a completion that could not be parsed.
    """
    rows = pd.concat([_choices(way, frame, items) for way, frame in answers.items()], ignore_index=True)
    data = _cells(rows, options)
    several = len(answers) > 1
    sheet = Sheet(
        name=NAME,
        title="Positions of the options chosen",
        caption="Multiple choice: how often each position among the options was chosen, in percent of the test rows of all "
        "countries, and how often it is right.",
        notes=tuple(_notes(data, options)),
        heads=("Chosen by",),
        columns=tuple("Not parsed" if key == NONE else key for key in _positions(data)),
        groups=_groups(data, several),
    )
    return make_table(sheet, data, options.note)


def _choices(way: str, evaluation: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Return the position chosen in each test row, and once for each item the right one."""
    asked = evaluation[evaluation["task"] == "mcq"].merge(
        items[[*_ITEM, "options", "answer_index"]], on=_ITEM, how="left", validate="many_to_one"
    )
    picked = [parse_choice(text, len(texts)) for text, texts in zip(asked["completion"], asked["options"], strict=True)]
    chosen = asked.assign(chosen_by=asked["method"], position=[NONE if k is None else str(k + 1) for k in picked])
    right = asked.assign(chosen_by=RIGHT, position=(asked["answer_index"] + 1).astype(str))
    both = pd.concat([right.drop_duplicates([*_ITEM, "setting"]), chosen])
    sizes = both["options"].map(len)
    return both[["setting", "chosen_by", "question_id", "position"]].assign(way=way, options=sizes)


def _cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    columns = [*_CELL, "value", "low", "high", "n", "n_facts", *_DIFFERENCE]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    positions = [*map(str, range(1, int(rows["options"].max()) + 1)), NONE]
    scored = pd.concat(
        [rows.assign(position=key, score=100.0 * (rows["position"] == key)) for key in positions], ignore_index=True
    )
    draws = resampled_means(scored, _CELL, resamples=options.resamples, seed=options.seed)
    counts = scored.groupby(_CELL, sort=False).agg(n=("score", "size"), n_facts=("question_id", "nunique"))
    counts = counts.reindex(draws.index)
    found = intervals(draws, options.confidence, facts=counts["n_facts"].to_numpy(dtype=float), span=(0.0, 100.0))
    right = pd.MultiIndex.from_frame(draws.index.to_frame(index=False).assign(chosen_by=RIGHT))
    apart = differences(draws, draws.reindex(right), found, found.reindex(right), options.confidence)
    apart.columns = pd.Index(_DIFFERENCE)
    frame = pd.concat([found, counts, apart], axis=1).reset_index()
    orders: dict[str, list[str]] = {  # the slowest last
        "position": positions,
        "chosen_by": [RIGHT, *ordered("method", set(frame["chosen_by"]) - {RIGHT})],
        "way": list(dict.fromkeys(rows["way"])),
        "setting": [*ordered("setting", frame["setting"])],
    }
    ranks = [frame[name].map(order.index) for name, order in orders.items()]
    return frame.iloc[np.lexsort(ranks)].reset_index(drop=True)[columns]


def _positions(data: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(data["position"]))


def _groups(data: pd.DataFrame, several: bool) -> tuple[Group, ...]:
    groups = []
    for (setting, way), part in data.groupby(["setting", "way"], sort=False):
        heading = label("setting", str(setting))
        rows = []
        for chosen_by, own in part.groupby("chosen_by", sort=False):
            key = str(chosen_by)
            head = "Right answer" if key == RIGHT else label("method", key)
            counts = f"n = {own['n'].iloc[0]:,} ({own['n_facts'].iloc[0]:,} facts)"
            rows.append(TableRow((head,), tuple(map(_cell, records(own))), counts, aggregate=key == RIGHT))
        groups.append(Group(f"{heading}; {way}" if several else heading, tuple(rows)))
    return tuple(groups)


def _cell(record: Mapping[str, Any]) -> Cell:
    """Return a share; bold where it differs from that of the right answer by an interval without 0."""
    value, low, high = (float(record[name]) for name in _DIFFERENCE)
    detail = f"n = {record['n']:,} rows of {record['n_facts']:,} facts"
    if record["chosen_by"] != RIGHT:
        detail += f"; difference from the right answer {change(value, 1)} {interval(low, high, 1, sign=True)}".rstrip()
    printed = interval(record["low"], record["high"], 1)
    return Cell(number(record["value"], 1), printed, detail=detail, best=low > 0 or high < 0)


def _notes(data: pd.DataFrame, options: TableOptions) -> list[str]:
    if data.empty:
        return ["No rows: multiple choice was not evaluated."]
    return [
        f"Brackets: {options.brackets()} with all their rows; Clopper and Pearson's where all facts are alike.",
        "Bold: differs from how often that position is right, by an interval of the difference without 0.",
        "Not parsed: no option could be read. A likelihood always has a largest one.",
    ]
