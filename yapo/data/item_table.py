"""A table of one's own in the items schema: a parquet, csv or jsonl file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from yapo.data.records import read_records
from yapo.data.text import shown
from yapo.errors import YapoError


def read_item_table(path: Path) -> pd.DataFrame:
    """Return the rows of a table of items, not yet checked.

    Raises:
        YapoError: the file is missing or damaged, or its name has another ending.
    """
    if path.suffix not in (".parquet", ".csv", ".jsonl"):
        raise YapoError(f"{path}: data.path must end in .parquet, .csv or .jsonl")
    try:
        there = path.is_file()
    except OSError as error:  # such as a name that is too long
        raise YapoError(f"{shown(str(path), bare=True)}: cannot be read ({error.strerror}); correct data.path") from None
    if not there:
        raise YapoError(f"{path}: no such file (data.path)")
    if path.suffix == ".parquet":
        try:
            return pd.read_parquet(path, engine="pyarrow")
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            reason = shown(" ".join(str(error).split()), bare=True)
            raise YapoError(f"{path}: cannot be read as parquet ({reason}); write it again") from None
    records = read_records(path)
    if records.faults:
        first = records.faults[0]
        raise YapoError(f"{path}: row {first.row}: {first.detail}")
    frame = pd.DataFrame([row for _, row in records.rows], columns=records.columns)
    if path.suffix == ".csv" and "options" in frame:
        frame["options"] = [_options(path, number, row["options"]) for number, row in records.rows]
    return frame


def _options(path: Path, number: int, cell: str) -> list[Any]:
    """Read the options in a cell, a JSON list."""
    try:
        options = json.loads(cell)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, list):
        raise YapoError(f'{path}: row {number}: options are {shown(cell)}; write a JSON list, such as ["tea", "coffee"]')
    return options
