"""The items table: one row per question as put to the model. Checked whenever it is read or written.

A table may tell the regions of a country apart in a column ``region``, empty where the country as a whole is asked.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from yapo.checks import VARIANTS, Role
from yapo.data.text import broken, is_blank, shown, text_key
from yapo.errors import YapoError
from yapo.files import write_parquet
from yapo.names import check_key, check_name, language_folders, place_key
from yapo.seal import intact, parquet_place

KEY = ["question_id", "country", "variant", "phrasing"]  # and the region, where the items have it
QUESTION = ["country", "variant", "question"]  # likewise
_LARGEST = 10**9  # of a whole number


def _is_whole(value: object) -> bool:
    """Tell whether a cell is a whole number, or the text of one, as a csv file holds it."""
    if isinstance(value, str):
        return re.fullmatch(r"\s*-?\d{1,9}\s*", value) is not None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    return float(value).is_integer() and abs(float(value)) < _LARGEST


_TEXT = pa.Check(lambda cell: isinstance(cell, str), element_wise=True, name="text")
_NOT_EMPTY = pa.Check(lambda cell: isinstance(cell, str) and not is_blank(cell), element_wise=True, name="not_empty")
_FORM = pa.Check(lambda cell: isinstance(cell, str) and cell in VARIANTS, element_wise=True, name="variant")
_FROM_0 = pa.Check(lambda cell: _is_whole(cell) and int(cell) >= 0, element_wise=True, name="whole_number")
_FROM_MINUS_1 = pa.Check(lambda cell: _is_whole(cell) and int(cell) >= -1, element_wise=True, name="whole_number")

# What each column takes; the descriptions are what an error tells to give.
ITEMS = pa.DataFrameSchema(
    {
        "question_id": pa.Column(checks=_NOT_EMPTY, description="a text that is not empty"),
        "language": pa.Column(checks=_NOT_EMPTY, description="a text that is not empty"),
        "country": pa.Column(checks=_NOT_EMPTY, description="lower-case letters, digits, - and _, a letter first"),
        "region": pa.Column(
            checks=_TEXT, required=False, description="lower-case letters, digits, - and _, a letter first, or an empty text"
        ),
        "topic": pa.Column(checks=_TEXT, description="a text"),
        "category": pa.Column(checks=_TEXT, description="a text"),
        "variant": pa.Column(checks=_FORM, description="localized or nonlocalized"),
        "phrasing": pa.Column(checks=_FROM_0, description="a whole number from 0"),
        "question": pa.Column(checks=_NOT_EMPTY, description="a text that is not empty"),
        "options": pa.Column(description="a list of texts"),
        "answer_index": pa.Column(checks=_FROM_0, description="a whole number from 0"),
        "answer": pa.Column(checks=_NOT_EMPTY, description="a text that is not empty"),
        "control_index": pa.Column(checks=_FROM_MINUS_1, description="the position of the Western control, -1 if there is none"),
    },
    strict=True,
)
COLUMNS = [name for name, column in ITEMS.columns.items() if column.required]  # that every table has
# pandas would turn anything into a text, and cut a number to a whole one, without a word; so types are set after the checks.
_TYPES = {
    name: int if name in ("phrasing", "answer_index", "control_index") else str for name in ITEMS.columns if name != "options"
}


def check_items(frame: pd.DataFrame, source: Path | str) -> pd.DataFrame:
    """Return the checked table; ``source`` is named in errors, and the row, counted from 1 (a csv's header is no row).

    Texts are compared as in ``yapo.data.text``. An index that is named as columns are becomes columns; any other is dropped.

    Raises:
        YapoError: a column is missing or unknown, a cell has the wrong type, a question is empty, a key occurs twice, a question
            occurs twice under one id, an answer is not among its options, options repeat, or a country or language is no name
            (``yapo.names``), or no fact tells two regions of a country apart.
    """
    items = _checked(frame, source)
    several = items.groupby("question_id")["topic"].transform("nunique") > 1
    if several.any():
        n = int(several.to_numpy().argmax())
        name = items["question_id"].iloc[n]
        topics = ", ".join(shown(topic) for topic in items.loc[items["question_id"] == name, "topic"].unique())
        raise YapoError(
            f"{source}: row {n + 1}: question_id {shown(name, bare=True)} stands under the topics {topics}; give a fact one "
            "topic, or each its own id"
        )
    keys = items.assign(key=items["question"].map(text_key))
    columns = _and_region(keys, ["country", "variant", "question_id", "key"])
    _refuse_again(items, _asked_again(keys, columns), "questions", QUESTION, source)
    if "region" in items:
        _check_regions(items, source)
    return items


def by_place(items: pd.DataFrame) -> pd.DataFrame:
    """Return items whose country is the place that is asked, such as ``morocco.north`` (``yapo.names``), without ``region``."""
    if "region" not in items:
        return items
    places = [place_key(*pair) for pair in items[["country", "region"]].itertuples(index=False, name=None)]
    return items.assign(country=places).drop(columns="region")


def _check_regions(items: pd.DataFrame, source: Path | str) -> None:
    """Refuse two regions of a country that answer all facts alike, or share none: nothing would tell them apart."""
    regional = items[items["region"] != ""].drop_duplicates(["country", "region", "question_id"])
    for country, part in regional.assign(answer=regional["answer"].map(text_key)).groupby("country", sort=False):
        answers = part.pivot(index="question_id", columns="region", values="answer")
        for first, second in combinations(answers, 2):
            both = answers[[first, second]].dropna()
            if (both[first] == both[second]).all():
                raise YapoError(
                    f"{source}: regions {first} and {second} of {country} answer none of their {len(both)} common facts "
                    "differently; add facts on which they differ, or make one region of them"
                )


def _and_region(items: pd.DataFrame, columns: list[str]) -> list[str]:
    """Return columns that tell items apart, and the region where the items have it."""
    return [*columns, "region"] if "region" in items else columns


def _with_regions(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with an empty text where no region is named, and without the column where it names none at all."""
    if "region" not in frame:
        return frame
    regions = frame["region"].astype(object).where(frame["region"].notna(), "")
    return frame.drop(columns="region") if (regions == "").all() else frame.assign(region=regions)


def _checked(frame: pd.DataFrame, source: Path | str) -> pd.DataFrame:
    """Check all but questions that one id asks twice in two typings: joining facts makes such."""
    if not len(frame.columns) or not len(frame):
        raise YapoError(f"{source}: no items; give at least one row of {', '.join(COLUMNS)}")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise YapoError(f"{source}: column {twice[0]!r} is there twice; rename or remove one")
    lost = [name for name in frame.index.names if name in ITEMS.columns and name not in frame]
    frame = frame.reset_index(level=lost).reset_index(drop=True) if lost else frame.reset_index(drop=True)
    frame = frame.astype({name: object for name, kind in frame.dtypes.items() if isinstance(kind, pd.CategoricalDtype)})
    frame = _with_regions(frame)
    try:
        items: pd.DataFrame = ITEMS.validate(frame, lazy=True).astype({name: _TYPES[name] for name in _TYPES if name in frame})
    except pa.errors.SchemaErrors as error:
        raise YapoError(f"{source}: {_first_failure(error, frame)}") from None
    places = items.drop_duplicates(["country", "language"])[["country", "language"]]
    for n, country, language in places.itertuples(name=None):
        check_key(country, f"{source}: row {n + 1}: country")
        check_name(language, f"{source}: row {n + 1}: language")
    language_folders(places.itertuples(index=False, name=None), source)
    if "region" in items:
        for n, region in enumerate(items["region"], start=1):
            if region:
                check_key(region, f"{source}: row {n}: region")
    _refuse_again(items, items.duplicated(_and_region(items, KEY)), "items", KEY, source)
    _refuse_again(items, _asked_again(items, _and_region(items, QUESTION)), "questions", QUESTION, source)
    for n, row in enumerate(items.itertuples(index=False, name=None), start=1):  # one dictionary at a time: tables can be long
        _check_options(dict(zip(items.columns, row, strict=True)), f"{source}: row {n}")
    _check_forms(items, source)
    return items


def _asked_again(items: pd.DataFrame, columns: list[str]) -> pd.Series[bool]:
    """Return which rows ask what an earlier one asked, by these columns; with other options it is another question."""
    again = items.duplicated(columns, keep=False)
    asked = items[again]
    offered = ["\n".join(sorted(map(text_key, map(str, np.ravel(options))))) for options in asked["options"]]
    again[again] = asked.assign(offered=offered).duplicated([*columns, "offered"])
    return again


def _refuse_again(items: pd.DataFrame, again: pd.Series[bool], kind: str, columns: list[str], source: Path | str) -> None:
    if again.any():
        n = int(again.to_numpy().argmax())
        named = ", ".join(f"{column} {shown(items[column].iloc[n], bare=True)}" for column in _and_region(items, columns))
        raise YapoError(f"{source}: {int(again.sum())} duplicated {kind}, first row {n + 1} ({named}); keep one row of each")


def _check_forms(items: pd.DataFrame, source: Path | str) -> None:
    """Refuse a wording whose two forms have other options, or the same in another order."""
    wording = _and_region(items, ["country", "question_id", "phrasing"])
    first: dict[tuple[Hashable, ...], tuple[int, list[str]]] = {}
    for n, (*key, options) in enumerate(items[[*wording, "options"]].itertuples(index=False, name=None), start=1):
        row, other = first.setdefault(tuple(key), (n, list(options)))
        if list(map(text_key, options)) != list(map(text_key, other)):
            named = ", ".join(f"{column} {shown(value, bare=True)}" for column, value in zip(wording, key, strict=True))
            raise YapoError(
                f"{source}: row {n}: the options {shown(list(options))} are not those of row {row}, its other form ({named}), in "
                f"their order; write {shown(other)} in both"
            )


def _check_options(item: dict[Hashable, Any], where: str) -> None:
    place = place_key(item["country"], item.get("region", ""))
    name = f"{where}, item {item['question_id']} ({place}, {item['variant']}, phrasing {item['phrasing']})"
    options, answer, index, control = item["options"], item["answer"], item["answer_index"], item["control_index"]
    if not isinstance(options, (list, tuple, np.ndarray)) or not all(
        isinstance(text, str) and not is_blank(text) for text in options
    ):
        raise YapoError(f"{name}: options are {shown(options)}; give a list of texts, none of them empty")
    options = list(options)
    if fault := broken("\n".join([*options, *(cell for cell in item.values() if isinstance(cell, str))])):
        raise YapoError(f"{name}: {fault}")
    if len(options) < 2:
        raise YapoError(f"{name}: options are {shown(options)}; give at least two")
    if len(set(map(text_key, options))) != len(options):
        raise YapoError(f"{name}: options repeat {shown(options)}; make them distinct, and not only in how they are typed")
    if index >= len(options) or options[index] != answer:
        raise YapoError(
            f"{name}: the answer '{shown(answer, bare=True)}' is not option {index} of {shown(options)}; fix answer or "
            "answer_index"
        )
    if control >= len(options):
        raise YapoError(
            f"{name}: control_index {control} is none of the {len(options)} options; give its position, or -1 for none"
        )
    if control == index:
        raise YapoError(
            f"{name}: control_index {control} is the answer itself; give another option's position, or -1 if there is none"
        )


def _first_failure(error: pa.errors.SchemaErrors, frame: pd.DataFrame) -> str:
    cases = error.failure_cases
    missing = cases[cases["check"] == "column_in_dataframe"]["failure_case"].tolist()
    if missing:
        columns = f"column{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
        return f"{columns} missing; found {shown(', '.join(map(str, frame.columns)), bare=True)}"
    first = cases.iloc[0]
    same = cases[(cases["column"] == first["column"]) & (cases["check"] == first["check"])]
    if first["check"] == "column_in_schema":
        name = shown(str(first["failure_case"] or ""), bare=True) or "without a name (an index column?)"
        return f"unknown column {name}; remove it: the items schema has {', '.join(ITEMS.columns)}"
    value = first["failure_case"].item() if isinstance(first["failure_case"], np.generic) else first["failure_case"]
    where = f"in {len(same)} of {len(frame)} rows, first value {shown(value)} in row {first['index'] + 1}"
    return f"column {first['column']} fails '{first['check']}' {where}; give {ITEMS.columns[first['column']].description}"


def write_items(path: Path, frame: pd.DataFrame, role: Role = "train") -> None:
    """Check and write the items table, which states its role."""
    write_parquet(path, _checked(frame, path), role)


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read any parquet file with errors that name it, and compare it with its digest where it states one."""
    try:
        whole = intact(path, parquet_place(path))
        frame = pd.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        reason = shown(" ".join(str(error).split()), bare=True)
        raise YapoError(f"{path}: not a readable parquet file ({reason}); delete it and run the stage that makes it") from None
    if not whole:
        raise YapoError(f"{path}: damaged (its bytes do not give the digest that it states); run the stage that makes it again")
    return frame
