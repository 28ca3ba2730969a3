"""Questions as a user gives them: multiple choice, or with one right answer to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import pandas as pd

from yapo.api.pairs import Rows, records_of
from yapo.data.text import is_blank, shown, text_key
from yapo.errors import YapoError

Kind = Literal["pairs", "choice", "free"]


def kind_of(data: Rows) -> Kind:
    """Return what the columns of a data set hold: pairs, multiple choice (``options``) or questions with an ``answer``.

    Raises:
        YapoError: none of these.
    """
    records, source = records_of(data)
    columns = set(records.columns)
    if {"chosen", "rejected"} <= columns or {"matching", "not_matching"} <= columns:
        return "pairs"
    if columns & {"question", "prompt"} and columns & {"options", "answer"}:
        return "choice" if "options" in columns else "free"
    raise YapoError(
        f"{source}: columns are {shown(', '.join(records.columns), bare=True)}; give prompt, chosen, rejected (pairs), question, "
        "options, answer_index (multiple choice), or question, answer (free answers)"
    )


def read_items(data: Rows, kind: Literal["choice", "free"]) -> pd.DataFrame:
    """Return questions with the columns ``question_id, question, options, answer_index, answer``.

    The columns are those of the items schema (``yapo.data.schema``), of which ``question_id`` may be left out: questions of one
    id, or else of one text, are resampled together. ``answer`` may stand for ``answer_index``, and the other way round; columns
    that are not needed are ignored.

    Raises:
        YapoError: a row cannot be used; the error names it.
    """
    records, source = records_of(data)
    if records.faults:
        raise YapoError(f"{source}: row {records.faults[0].row}: {records.faults[0].detail}; correct it, or leave the row out")
    items = [_item(row, f"{source}: row {number}", kind) for number, row in records.rows]
    if not items:
        raise YapoError(f"{source}: no questions; give at least one row")
    return pd.DataFrame(items)


def _item(row: Mapping[str, Any], where: str, kind: Literal["choice", "free"]) -> dict[str, object]:
    name = "question" if "question" in row else "prompt"
    question = _text(row.get(name), f"{where}: {name}")
    given = row.get("question_id")
    question_id = text_key(question) if given is None or is_blank(str(given)) else str(given)
    if kind == "free":
        answer, options, index = _text(row.get("answer"), f"{where}: answer"), list[str](), -1
    else:
        options = _options(row.get("options"), where)
        index = _index(row, options, where)
        answer = options[index]
    return {"question_id": question_id, "question": question, "options": options, "answer_index": index, "answer": answer}


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or is_blank(value):
        raise YapoError(f"{where} is {shown(value)}; give a text that is not empty")
    return value


def _options(cell: object, where: str) -> list[str]:
    """Return the options of a cell: a list of texts, or the JSON of one."""
    if isinstance(cell, str):
        with suppress(ValueError, RecursionError):  # refused below as what it is, a text
            cell = json.loads(cell)
    options = [] if isinstance(cell, str) or not hasattr(cell, "__iter__") else list(cell)
    if len(options) < 2 or not all(isinstance(text, str) and not is_blank(text) for text in options):
        raise YapoError(f'{where}: options are {shown(cell)}; give a list of at least two texts, such as ["tea", "coffee"]')
    if len(set(map(text_key, options))) < len(options):
        raise YapoError(f"{where}: options repeat {shown(options)}; make them distinct")
    return options


def _index(row: Mapping[str, Any], options: list[str], where: str) -> int:
    """Return which option is right, by ``answer_index`` or by the text of ``answer``; both must agree."""
    given, answer = row.get("answer_index"), row.get("answer")
    if given is None or given == "":
        if answer not in options:
            raise YapoError(f"{where}: the answer {shown(answer)} is none of {shown(options)}; give one of them, or answer_index")
        return options.index(answer)
    try:
        index = int(given)
    except (TypeError, ValueError, OverflowError):
        index = -1
    if not 0 <= index < len(options) or str(given).strip() not in (str(index), f"{index}.0"):
        raise YapoError(f"{where}: answer_index is {shown(given)}; give a whole number from 0 to {len(options) - 1}")
    if answer is not None and answer != options[index]:
        raise YapoError(f"{where}: the answer {shown(answer)} is not option {index} of {shown(options)}; correct one of the two")
    return index
