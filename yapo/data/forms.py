"""The form without the country, for sets whose questions all name it: proposals for a person to read, and their way back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from yapo.checks import one_of
from yapo.data.country_names import country_names, named_in
from yapo.data.csv_text import csv, escape_csv
from yapo.data.records import read_records
from yapo.data.text import is_blank, shown, text_key
from yapo.errors import YapoError

Decision = Literal["keep", "drop"]
KEY = ["question_id", "country", "localized"]
COLUMNS = [*KEY, "nonlocalized", "names", "decision"]


class UnreviewedForms(YapoError):
    """Nobody has read the forms without the country; ``text`` is the csv file of proposals."""

    def __init__(self, text: str, count: int) -> None:
        super().__init__(f"data.review: {count} forms without their country wait for a reader")
        self.text = text


def propose(items: pd.DataFrame) -> pd.DataFrame:
    """Return a form without the country for each localized question.

    Returns:
        ``COLUMNS``: ``names`` is the first name of a country that is still there, and ``decision`` is empty.
    """
    asked = items[["question_id", "country", "question"]].drop_duplicates(ignore_index=True)
    forms = [country_names()[key].cut_from(text) for key, text in zip(asked["country"], asked["question"], strict=True)]
    found = asked.rename(columns={"question": "localized"}).assign(nonlocalized=forms, names=list(map(named_in, forms)))
    return found.assign(decision="")[COLUMNS]


def with_review(items: pd.DataFrame, review: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the items in both forms, and how many questions were kept and dropped.

    Args:
        items: localized ones.
        review: a copy of the file of proposals in which a person has written ``keep`` or ``drop`` into every row, and corrected
            ``nonlocalized`` where it needed it; empty where there is none.

    Raises:
        UnreviewedForms: there is no review.
        YapoError: names the row that is missing, is no proposal, decides nothing, or still names a country.
    """
    proposals = propose(items)
    if not review:
        raise UnreviewedForms(csv(proposals), len(proposals))
    decided = _read_review(Path(review), proposals)
    keys = [tuple(row) for row in items[["question_id", "country", "question"]].itertuples(index=False, name=None)]
    forms = [decided[key] for key in keys]
    kept = items[[form is not None for form in forms]]
    other = kept.assign(variant="nonlocalized", question=[form for form in forms if form is not None])
    if kept.empty:
        raise YapoError(f"{review}: every question is dropped; keep at least one")
    counts = Counter("drop" if form is None else "keep" for form in decided.values())
    return pd.concat([kept, other], ignore_index=True), dict(counts)


def _read_review(path: Path, proposals: pd.DataFrame) -> dict[tuple[str, ...], str | None]:
    """Return the form of each proposal by its key; None where the question is dropped."""
    records = read_records(path)
    if records.faults:
        raise YapoError(f"{path}: row {records.faults[0].row}: {records.faults[0].detail}")
    missing = [name for name in COLUMNS if name not in records.columns]
    if missing:
        raise YapoError(f"{path}: column {missing[0]} is missing; mark a copy of data/forms.csv, and keep its columns")
    wanted = {tuple(map(escape_csv, key)): key for key in proposals[KEY].itertuples(index=False, name=None)}
    found: dict[tuple[str, ...], str | None] = {}
    for number, row in records.rows:
        where = f"{path}: row {number}"
        key = wanted.get(tuple(str(row[name]) for name in KEY))
        if key is None:
            named = ", ".join(str(row[name]) for name in KEY)
            raise YapoError(f"{where}: {shown(named)} is none of the {len(wanted)} questions; take the row out")
        if key in found:
            raise YapoError(f"{where}: decides a question that an earlier row decides; keep one")
        found[key] = _form(row["nonlocalized"], key, where) if _keeps(row["decision"], where) else None
    left = next((key for key in wanted.values() if key not in found), None)
    if left is not None:
        raise YapoError(f"{path}: has no row for {shown(', '.join(left))}; decide about every question")
    return found


def _keeps(decision: object, where: str) -> bool:
    word: Decision = one_of(f"{where}: decision", str(decision).strip(), get_args(Decision))
    return word == "keep"


def _form(text: object, key: tuple[str, ...], where: str) -> str:
    """Return a form that a reader keeps; refuse one that names a country, or is no other form."""
    form = str(text).strip()
    if is_blank(form):
        raise YapoError(f"{where}: nonlocalized is empty; write the question without the country, or drop it")
    if name := named_in(form):
        raise YapoError(f"{where}: nonlocalized still says {shown(name)}; take the name out, or drop the question")
    if text_key(form) == text_key(key[-1]):
        raise YapoError(f"{where}: nonlocalized is the localized question; write it without the country, or drop it")
    return form
