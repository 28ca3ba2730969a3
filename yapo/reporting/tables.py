"""Tables of a study in every format, and what is said alike under many of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from yapo import files
from yapo.checks import Task
from yapo.data.csv_text import csv
from yapo.reporting.html import table_page
from yapo.reporting.names import ordered
from yapo.reporting.render import Sheet, latex, markdown

SUFFIXES = ("csv", "md", "tex", "html")


@dataclass(frozen=True)
class TableOptions:
    """Settings of every table of a report.

    Attributes:
        resamples: bootstrap resamples; 0 leaves the intervals out.
        confidence: mass of the intervals.
        seed: seed of the resampling and of the choice of examples.
        scorer: who gave the open-ended scores; named in every caption that shows them.
        note: sentence printed under every table.
        view: what sets a table of methods apart from the main one of its kind, after its title; empty for the main one.
        suffix: likewise, at the end of its name.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0
    scorer: str = "offline reference"
    note: str = ""
    view: str = ""
    suffix: str = ""

    @property
    def level(self) -> str:
        """The mass of the intervals in percent."""
        return f"{100 * self.confidence:g}%"

    def brackets(self, of: str = "facts") -> str:
        """Return the beginning of a note on intervals: "95% bootstrap interval, 2,000 resamples of facts"."""
        return f"{self.level} bootstrap interval, {self.resamples:,} resamples of {of}"

    def scores(self, tasks: Iterable[str]) -> str:
        """Return the meaning of the scores of the tasks that are there, joined by "and"."""
        open_ended = f"open-ended score (0 to 10; scorer: {self.scorer})"
        names: dict[Task, str] = {"mcq": "multiple-choice accuracy (%)", "open_ended": open_ended}
        return " and ".join(names[task] for task in ordered("task", tasks))


@dataclass(frozen=True)
class Table:
    """One table: its numbers as a tidy frame, and the text of its files by suffix."""

    name: str
    data: pd.DataFrame
    texts: Mapping[str, str]


def make_table(sheet: Sheet, data: pd.DataFrame, note: str = "") -> Table:
    """Return a table in every format; ``note`` is its last note, where there is one."""
    sheet = replace(sheet, notes=(*sheet.notes, *([note] if note else [])))
    return Table(sheet.name, data, {"csv": csv(data), "md": markdown(sheet), "tex": latex(sheet), "html": table_page(sheet)})


def write_tables(tables: Mapping[str, Table], folder: Path) -> list[Path]:
    """Write every file of every table as ``folder/<name>.<suffix>``; equal tables give equal bytes."""
    paths = []
    for table in tables.values():
        for suffix, text in table.texts.items():
            paths.append(folder / f"{table.name}.{suffix}")
            files.write_text(paths[-1], text)
    return paths
