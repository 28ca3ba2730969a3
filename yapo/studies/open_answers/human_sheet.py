"""The sheet on which people rate answers: blind, in a random order, and its way back.

An answer is known by the digest of its country, question, reference answer and text, so that one that several conditions gave
stands there once, and neither the id nor the order tells who gave it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from yapo.data.csv_text import csv, escape_csv
from yapo.data.records import read_records
from yapo.data.text import broken, shown
from yapo.errors import YapoError
from yapo.files import digest
from yapo.reporting.cells import TOP, records

TEXTS = ["country", "question", "gold", "answer"]
COLUMNS = ["id", *TEXTS, "score", "caricature", "remark"]
GRADES = range(int(TOP["open_ended"]) + 1)
WORDS = {"yes": 1, "no": 0}
JUDGES = {"score": "judge", "second_score": "second judge"}  # raters, by the column of their scores
LIST = "list of caricatures"  # likewise one


def rated_answers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the distinct answers that judges graded, by ``id``: ``TEXTS``, ``question_id``, ``score`` and ``second_score``.

    Args:
        rows: of the stage ``open_answers``, of all countries.
    """
    judged = rows[rows["judged"]].rename(columns={"answer": "gold", "completion": "answer"})
    ids = [f"answer-{digest(texts)}" for texts in judged[TEXTS].to_numpy().tolist()]
    found = judged.assign(id=ids).drop_duplicates("id").set_index("id")
    return found[[*TEXTS, "question_id", "score", "second_score"]]


def sheet_text(answers: pd.DataFrame, most: int, seed: int) -> str:
    """Return the sheet as csv: some answers in a random order, with empty columns to fill in.

    Args:
        answers: from ``rated_answers``. One that no csv file can hold is left out.
        most: answers in the sheet, at most.
        seed: of the choice and the order.
    """
    written = answers[[not any(map(broken, texts)) for texts in answers[TEXTS].to_numpy()]].sort_index()
    chosen = np.random.default_rng(seed).permutation(len(written))[:most]
    return csv(written.iloc[chosen][TEXTS].reset_index().assign(score="", caricature="", remark=""))


def read_sheets(paths: Sequence[Path], answers: pd.DataFrame, exported: Path) -> dict[str, pd.DataFrame]:
    """Read filled-in sheets.

    Args:
        paths: copies of the exported sheet, one a rater, who is named as the file is. Rows may be in any order, or left out.
        answers: from ``rated_answers``.
        exported: the sheet itself, which is made anew when answers change.

    Returns:
        By rater ``score`` (0 to 10) and ``caricature`` (1 or 0) by ``id``; NaN where a cell is empty.

    Raises:
        YapoError: two raters have one name, one is the exported sheet, or a file is not as it should be; names the row.
    """
    found: dict[str, pd.DataFrame] = {}
    for path in paths:
        if path.resolve() == exported.resolve():
            raise YapoError(f"{path}: is the exported sheet, which is made anew when answers change; name a copy of it")
        if path.stem in (*found, *JUDGES.values(), LIST):
            raise YapoError(f"{path}: another rater is called {path.stem} too; rename the file, which names its rater")
        found[path.stem] = read_sheet(path, answers)
    return found


def read_sheet(path: Path, answers: pd.DataFrame) -> pd.DataFrame:
    """Read one filled-in sheet; see ``read_sheets``.

    Raises:
        YapoError: a column is missing, a row cannot be read, an id is unknown or there twice, a text was edited, or a score or
            caricature is none; or nothing is filled in.
    """
    sheet = read_records(path)
    missing = [name for name in COLUMNS if name not in (*sheet.columns, "remark")]
    if missing:
        raise YapoError(f"{path}: column {missing[0]} is missing; fill in a copy of the exported sheet, and keep its columns")
    if sheet.faults:
        raise YapoError(f"{path}: row {sheet.faults[0].row}: {sheet.faults[0].detail}")
    texts = {str(row["id"]): row for row in records(answers[TEXTS].reset_index())}
    ratings: dict[str, tuple[float, float]] = {}
    for number, row in sheet.rows:
        where = f"{path}: row {number}"
        known = str(row["id"]).strip()
        if known not in texts:
            raise YapoError(f"{where}: id {shown(known)} is none of this study's judged answers; export the sheet again")
        if known in ratings:
            raise YapoError(f"{where}: id {known} stands in an earlier row too; keep one of them")
        _check_texts(where, row, texts[known])
        ratings[known] = _score(where, str(row["score"])), _caricature(where, str(row["caricature"]))
    found = pd.DataFrame.from_dict(ratings, "index", columns=["score", "caricature"])
    if found.isna().all(axis=None):
        raise YapoError(f"{path}: no score and no caricature is filled in; fill in some, or leave the file out")
    return found


def _check_texts(where: str, row: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    for name in TEXTS:
        written, read = (escape_csv(str(part[name])).strip() for part in (answer, row))
        if read != written:
            raise YapoError(f"{where}: {name} is {shown(read)}, not {shown(written)}; rate the text as it was exported")


def _score(where: str, cell: str) -> float:
    if not cell.strip():
        return np.nan
    try:
        score = float(cell)
    except ValueError:
        score = np.nan
    if score not in GRADES:
        raise YapoError(f"{where}: score is {shown(cell)}; give a whole number from 0 to {GRADES[-1]}, or leave it empty")
    return score


def _caricature(where: str, cell: str) -> float:
    word = cell.strip().lower()
    if word and word not in WORDS:
        raise YapoError(f"{where}: caricature is {shown(cell)}; give yes or no, or leave it empty")
    return WORDS.get(word, np.nan)
