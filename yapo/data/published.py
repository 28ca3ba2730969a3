"""Files of published data sets: a plain file, or a folder with a copy of the hub's. Nothing is read from the network."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from yapo.checks import Variant
from yapo.data.option_order import option_order
from yapo.data.records import ENDINGS, read_records
from yapo.data.text import is_blank, shown, text_key
from yapo.errors import YapoError

Cells = dict[str, Any]
LETTERS = "ABCD"


@dataclass(frozen=True)
class Layout:
    """The format in which a set is published.

    Attributes:
        origin: where to get it.
        files: a pattern of the paths of its files in a folder with a copy of the hub's; ``*`` stands for folders too.
        columns: that every file has.
    """

    origin: str
    files: str
    columns: tuple[str, ...]

    def read(self, path: str) -> list[tuple[str, Cells]]:
        """Return the rows of a copy, each with a text that tells its place: the file, and the number from 1.

        Args:
            path: a parquet, csv, json or jsonl file, or a folder with such files at any depth.

        Raises:
            YapoError: there is no such file, none in the folder, or one cannot be read or lacks a column.
        """
        return [row for file in self._files(Path(path)) for row in self._rows(file)]

    def _files(self, path: Path) -> list[Path]:
        if path.is_dir():
            found = [file for file in sorted(path.rglob("*")) if file.suffix in (".parquet", *ENDINGS) and file.is_file()]
            fitting = [file for file in found if fnmatch(file.relative_to(path).as_posix(), self.files)]
            if not fitting:
                raise YapoError(f"data.path={path}: holds no file {self.files} in a known format; take a copy of {self.origin}")
            return fitting
        if path.suffix not in (".parquet", *ENDINGS):
            endings = ", ".join((".parquet", *ENDINGS))
            raise YapoError(f"data.path={shown(str(path), bare=True)}: no folder, and no file in {endings}; take {self.origin}")
        if not path.is_file():
            raise YapoError(f"data.path={path}: no such file; take {self.origin}")
        return [path]

    def _rows(self, file: Path) -> list[tuple[str, Cells]]:
        if file.suffix == ".parquet":
            try:
                table = pq.read_table(file)
            except (OSError, ValueError, pa.ArrowException) as error:
                reason = shown(" ".join(str(error).split()), bare=True)
                raise YapoError(f"{file}: cannot be read as parquet ({reason}); take {self.origin} again") from None
            columns, rows = table.column_names, list(enumerate(table.to_pylist(), start=1))
        else:
            records = read_records(file)
            if records.faults:
                raise YapoError(f"{file}: row {records.faults[0].row}: {records.faults[0].detail}")
            columns, rows = records.columns, records.rows
        missing = [name for name in self.columns if name not in columns]
        if missing:
            raise YapoError(f"{file}: lacks the columns {', '.join(missing)}; give {self.origin} as published")
        if not rows:
            raise YapoError(f"{file}: has no rows; give {self.origin} as published")
        return [(f"{file}: row {number}", row) for number, row in rows]


def text_of(row: Cells, column: str, place: str) -> str:
    """Return the text of a cell, without spaces around it.

    Raises:
        YapoError: it holds none.
    """
    value = row.get(column)
    if not isinstance(value, str) or is_blank(value):
        raise YapoError(f"{place}: {column} is {shown(value)}; give a text")
    return value.strip()


def json_object(value: object) -> dict[str, Any] | None:
    """Return an object that a cell holds, as JSON text or read already; None where it holds none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def letter_index(value: object, count: int, place: str) -> int:
    """Return which option a letter names; ``place`` is what an error begins with.

    Raises:
        YapoError: none of them.
    """
    letters = LETTERS[:count]
    if not isinstance(value, str) or len(value.strip()) != 1 or value.strip() not in letters:
        raise YapoError(f"{place} is {shown(value)}; give one of {', '.join(letters)}")
    return letters.index(value.strip())


def options_fault(options: Sequence[object]) -> str:
    """Say why options cannot be offered; nothing where they can."""
    if not all(isinstance(text, str) and not is_blank(text) for text in options):
        return "an option is missing"
    if len({text_key(str(text)) for text in options}) < len(options):
        return "an option stands there twice"
    return ""


@dataclass(frozen=True)
class Question:
    """A multiple-choice question of a published set.

    Attributes:
        question_id: the fact that it asks for.
        forms: its wording, by form.
        options: in the published order.
        answer_index: of the right one; ``control_index`` of the Western control, -1 where there is none.
        phrasing: which wording of the fact, or which set of options.
    """

    question_id: str
    language: str
    country: str
    topic: str
    category: str
    forms: dict[Variant, str]
    options: Sequence[str]
    answer_index: int
    control_index: int = -1
    phrasing: int = 0

    def items(self, seed: int | None) -> list[dict[str, object]]:
        """Return an item of each form; ``seed`` orders the options, the same in both. None keeps the published order."""
        count = len(self.options)
        name = f"{self.question_id}/{self.country}"
        order = list(range(count)) if seed is None else option_order(count, seed, name, self.phrasing)
        shared = {
            "question_id": self.question_id,
            "language": self.language,
            "country": self.country,
            "topic": self.topic,
            "category": self.category,
            "phrasing": self.phrasing,
            "options": [str(self.options[i]).strip() for i in order],
            "answer_index": order.index(self.answer_index),
            "answer": str(self.options[self.answer_index]).strip(),
            "control_index": -1 if self.control_index < 0 else order.index(self.control_index),
        }
        return [{**shared, "variant": variant, "question": question} for variant, question in self.forms.items()]


def numbered(questions: Iterable[Question], dropped: Counter[str]) -> list[Question]:
    """Number the phrasings of each fact; leave out, and count, what a country was asked before with the same options."""
    asked, kept = set[tuple[object, ...]](), list[Question]()
    count: Counter[tuple[str, str]] = Counter()
    for one in questions:
        texts = tuple(text_key(text) for text in one.forms.values())
        key = (one.country, texts, frozenset(map(text_key, one.options)))
        if key in asked:
            dropped["the same question again"] += 1
            continue
        asked.add(key)
        kept.append(replace(one, phrasing=count[one.country, one.question_id]))
        count[one.country, one.question_id] += 1
    return kept


def items_of(questions: Iterable[Question], seed: int | None) -> pd.DataFrame:
    """Return the items of all questions, not yet checked; see ``Question.items``."""
    return pd.DataFrame([item for question in questions for item in question.items(seed)])
