"""The items table: one row per question as put to the model. Checked whenever it is read or written."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pandera.pandas as pa

from yapo.errors import YapoError
from yapo.files import write_parquet

KEY = ["question_id", "country", "variant", "phrasing"]

ITEMS = pa.DataFrameSchema(
    {
        "question_id": pa.Column(str, pa.Check.str_length(min_value=1)),
        "language": pa.Column(str, pa.Check.str_length(min_value=1)),
        "country": pa.Column(str, pa.Check.str_matches(r"^[a-z][a-z0-9_-]*$")),
        "topic": pa.Column(str),
        "category": pa.Column(str),
        "variant": pa.Column(str, pa.Check.isin(["localized", "nonlocalized"])),
        "phrasing": pa.Column(int, pa.Check.ge(0)),
        "question": pa.Column(str, pa.Check(lambda s: s.str.strip().str.len() > 0, name="not_empty")),
        "options": pa.Column(object),
        "answer_index": pa.Column(int, pa.Check.ge(0)),
        "answer": pa.Column(str, pa.Check(lambda s: s.str.strip().str.len() > 0, name="not_empty")),
        "control_index": pa.Column(int, pa.Check.ge(-1), description="position of the Western control, -1 if there is none"),
    },
    strict=True,
    coerce=True,
)


def check_items(frame: pd.DataFrame, source: Path | str) -> pd.DataFrame:
    """Return the checked table; ``source`` is named in errors.

    Raises:
        YapoError: a column is missing or unknown, a question is empty, a key or question occurs twice, an answer is not
            among its options, or options repeat.
    """
    if not len(frame.columns) or not len(frame):
        raise YapoError(f"{source}: no items; give at least one row of {', '.join(ITEMS.columns)}")
    try:
        items = cast(pd.DataFrame, ITEMS.validate(frame, lazy=True))
    except pa.errors.SchemaErrors as error:
        raise YapoError(f"{source}: {_first_failure(error, frame)}") from None
    duplicated = items[items.duplicated(KEY)]
    if len(duplicated):
        row = duplicated.iloc[0]
        raise YapoError(f"{source}: {len(duplicated)} duplicated items, first {dict(row[KEY])}; keep one row of each")
    same = items.duplicated(["country", "variant", "question"])
    if same.any():
        row = items[same].iloc[0]
        raise YapoError(
            f"{source}: {int(same.sum())} duplicated questions, first '{row['question']}' ({row['country']}, {row['variant']}); "
            "keep one row of each"
        )
    for record in items.to_dict("records"):
        _check_options(record, source)
    return items


def _check_options(item: dict[Hashable, Any], source: Path | str) -> None:
    name = f"{source}: item {item['question_id']} ({item['country']}, {item['variant']}, phrasing {item['phrasing']})"
    options, answer, index, control = item["options"], item["answer"], item["answer_index"], item["control_index"]
    if isinstance(options, str) or not all(isinstance(option, str) and option.strip() for option in options):
        raise YapoError(f"{name}: options are {options!r}; give a list of texts, none of them empty")
    options = list(options)
    if len(options) < 2:
        raise YapoError(f"{name}: options are {options}; give at least two")
    if len(set(options)) != len(options):
        raise YapoError(f"{name}: options repeat {options}; make them distinct")
    if index >= len(options) or options[index] != answer:
        raise YapoError(f"{name}: the answer '{answer}' is not option {index} of {options}; fix answer or answer_index")
    if control >= len(options):
        raise YapoError(
            f"{name}: control_index {control} is none of the {len(options)} options; give its position, or -1 for none"
        )


def _first_failure(error: pa.errors.SchemaErrors, frame: pd.DataFrame) -> str:
    cases = error.failure_cases
    missing = cases[cases["check"] == "column_in_dataframe"]["failure_case"].tolist()
    if missing:
        columns = f"column{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
        return f"{columns} missing; found {', '.join(map(str, frame.columns))}"
    first = cases.iloc[0]
    same = cases[(cases["column"] == first["column"]) & (cases["check"] == first["check"])]
    if first["check"] == "column_in_schema":
        return f"unknown column {first['failure_case']}; the items schema has {', '.join(ITEMS.columns)}"
    where = f"in {len(same)} of {len(frame)} rows, first value {first['failure_case']!r} in row {first['index']}"
    return f"column {first['column']} fails '{first['check']}' {where}"


def write_items(path: Path, frame: pd.DataFrame) -> None:
    """Check and write the items table."""
    write_parquet(path, check_items(frame, path))


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read any parquet file with errors that name it."""
    try:
        return pd.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError) as error:
        raise YapoError(f"{path}: not a readable parquet file ({error}); delete it and run the stage that makes it") from None
