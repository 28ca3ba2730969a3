"""Questions for judged chat evaluation, from files in MT-Bench's or AlpacaEval's format.

MT-Bench: ``question_id``, ``category``, ``turns`` (one or two texts), perhaps ``reference`` (a text for each turn). AlpacaEval:
``instruction``, perhaps ``reference`` (a text) and ``dataset``. Which of the two a file is, its keys say; other keys are ignored:
AlpacaEval's ``output`` too, which is what some model (``generator``) answered, right or wrong, and no reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yapo.data.records import read_records
from yapo.data.text import is_blank, shown
from yapo.errors import YapoError

ENDINGS = (".jsonl", ".json")
MOST_TURNS = 2


@dataclass(frozen=True)
class ChatQuestion:
    """One conversation to be had.

    Attributes:
        question_id: unique in its file; its number from 1 where the file gives none.
        category: what kind of question it is; empty where the file does not say.
        turns: what the user says, one or two texts.
        references: a good answer to each turn; empty where there is none.
    """

    question_id: str
    category: str
    turns: tuple[str, ...]
    references: tuple[str, ...]


def load_questions(path: Path, key: str) -> list[ChatQuestion]:
    """Read a question file; unlike a data set to train on, it is taken whole or not at all.

    Args:
        path: a ``.jsonl`` or ``.json`` file.
        key: the setting that names it, for errors.

    Raises:
        YapoError: the file cannot be read, or a record of it is no question; the message names the record and the fix.
    """
    if path.suffix not in ENDINGS:
        raise YapoError(f"{key}={path}: a question file must end in {' or '.join(ENDINGS)}")
    try:
        records = read_records(path)
    except YapoError as error:  # names the path, not the setting
        raise YapoError(f"{key}={error}") from None
    if records.faults:
        fault = records.faults[0]
        raise YapoError(f"{key}={path}: record {fault.row}: {fault.detail}")
    if not records.rows:
        raise YapoError(f"{key}={path}: holds no question; give at least one")
    questions: dict[str, ChatQuestion] = {}
    for number, row in records.rows:
        question = _question(f"{key}={path}: record {number}", number, row)
        if question.question_id in questions:
            raise YapoError(f"{key}={path}: record {number} has the question_id {question.question_id} again; give each its own")
        questions[question.question_id] = question
    return list(questions.values())


def _question(where: str, number: int, row: dict[str, Any]) -> ChatQuestion:
    kinds = [name for name in ("turns", "instruction") if name in row]
    if len(kinds) != 1:
        found = " and ".join(kinds) or f"neither (its keys: {shown(', '.join(row), bare=True) or 'none'})"
        raise YapoError(f"{where}: has {found}; give turns (as MT-Bench) or instruction (as AlpacaEval)")
    given = row.get("reference")
    if kinds == ["turns"]:
        turns = _texts(where, "turns", row["turns"])
        if not 1 <= len(turns) <= MOST_TURNS:
            raise YapoError(f"{where}: turns holds {len(turns)} texts; give one or two")
        references = () if given is None else _texts(where, "reference", given, empty=True)
        category = row.get("category")
    else:
        turns = (_text(where, "instruction", row["instruction"]),)
        references = () if given is None else (_text(where, "reference", given, empty=True),)
        category = row.get("dataset")
    if len(references) > len(turns):
        raise YapoError(f"{where}: reference holds {len(references)} texts for {len(turns)} turns; give at most one a turn")
    filled = tuple(text.strip() for text in references) + ("",) * (len(turns) - len(references))
    identifier = number if row.get("question_id") is None else row["question_id"]
    return ChatQuestion(str(identifier), "" if category is None else str(category), turns, filled)


def _texts(where: str, name: str, value: Any, empty: bool = False) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise YapoError(f"{where}: {name} is {shown(value)}; give a list of texts")
    return tuple(_text(where, name, text, empty) for text in value)


def _text(where: str, name: str, value: Any, empty: bool = False) -> str:
    if not isinstance(value, str) or not (empty or not is_blank(value)):
        raise YapoError(f"{where}: {name} holds {shown(value)}; give a text")
    return value
