"""The file of near-duplicate pairs for a person to review, and its way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from yapo.checks import one_of
from yapo.curation.duplicates import Decision, Pair
from yapo.data.csv_text import csv, escape_csv
from yapo.data.records import read_records
from yapo.data.text import shown
from yapo.errors import YapoError

COLUMNS = [*Pair._fields, "decision"]
KEY = COLUMNS[:6]


def review_table(decisions: Mapping[Pair, Decision]) -> pd.DataFrame:
    """Return the pairs, the most alike first, with what is done about each."""
    ordered = sorted(decisions, key=lambda pair: (-pair.similarity, pair))
    return pd.DataFrame([[*pair, decisions[pair]] for pair in ordered], columns=COLUMNS)


def review_text(decisions: Mapping[Pair, Decision]) -> str:
    """Return the csv file; a copy of it with another ``decision`` here and there is a review."""
    return csv(review_table(decisions))


def read_review(path: Path, pairs: Sequence[Pair]) -> dict[tuple[str, ...], Decision]:
    """Read decisions back.

    Args:
        path: a copy of the file that ``review_text`` makes. Rows may be in any order, and those that need no decision left out.
        pairs: that are to be decided now.

    Returns:
        The decision of each pair in the file, by ``Pair.key``.

    Raises:
        YapoError: names the row that is no such pair, is there twice, holds other texts, or decides neither drop nor keep.
    """
    records = read_records(path)
    if records.faults:
        raise YapoError(f"{path}: row {records.faults[0].row}: {records.faults[0].detail}")
    missing = [name for name in COLUMNS if name not in records.columns]
    if missing:
        raise YapoError(f"{path}: column {missing[0]} is missing; edit a copy of the file of pairs, and keep its columns")
    known = {tuple(map(escape_csv, pair.key)): pair for pair in pairs}
    found: dict[tuple[str, ...], Decision] = {}
    for number, row in records.rows:
        where = f"{path}: row {number}"
        pair = known.get(tuple(str(row[name]) for name in KEY))
        if pair is None:
            named = ", ".join(filter(None, (str(row[name]) for name in KEY)))
            raise YapoError(f"{where}: {shown(named)} is none of the {len(known)} pairs; take the row out")
        if pair.key in found:
            raise YapoError(f"{where}: decides a pair that an earlier row decides; keep one")
        _check_texts(where, row, pair)
        found[pair.key] = one_of(f"{where}: decision", str(row["decision"]).strip(), get_args(Decision))
    return found


def _check_texts(where: str, row: Mapping[str, Any], pair: Pair) -> None:
    for name in ("text_1", "text_2"):
        written = escape_csv(getattr(pair, name))
        if row[name] != written:
            raise YapoError(
                f"{where}: {name} is {shown(row[name])}, not {shown(written)}; decide about the texts that are there now"
            )
