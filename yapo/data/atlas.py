"""The culture atlas: the small real data set that ships with the project.

One YAML file per language holds questions (three wordings each) and, for every cultural context, a short answer in the
language or dialect of that place, plus a Western control. Answers are spoken ones: each opens with a filler of its place
("Mate,", "Órale,"), which rotates from fact to fact. ``topics.yaml`` names the topics of each category.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yapo.errors import YapoError

WESTERN = "western"
ATLAS_DIR = Path(__file__).resolve().parents[2] / "world" / "atlas"


@dataclass(frozen=True)
class Context:
    """A cultural context: a country or region with one language."""

    key: str
    name: str
    native: str
    openers: tuple[str, ...]
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """One thing asked for: its wordings and the answer of every context (``western`` included)."""

    question_id: str
    topic: str
    category: str
    questions: tuple[str, ...]
    answers: dict[str, str]


@dataclass(frozen=True)
class Language:
    """One language file of the atlas."""

    name: str
    code: str
    western: str
    neutral_prefixes: tuple[str, ...]
    contexts: dict[str, Context]
    facts: tuple[Fact, ...]


def load_atlas(folder: Path = ATLAS_DIR) -> dict[str, Language]:
    """Read every language file of ``folder``, keyed by lower-case language name, in file-name order.

    Raises:
        YapoError: a file is missing or not YAML, lacks a key or an answer, or a question is empty or stands under two facts.
    """
    path = folder / "topics.yaml"
    category_of = {topic: category for category, names in _yaml(path).items() for topic in _texts(path, category, names)}
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != "topics.yaml")
    return {path.stem: _language(path, category_of) for path in paths}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        return _mapping(path, "the file", yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; copy the whole atlas folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise YapoError(f"{path}: not valid YAML ({' '.join(str(error).split())}); correct it there") from None


def _mapping(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise YapoError(f"{path}: {key} is {value!r}, not keys with values; see the other language files for the format")
    return value


def _texts(path: Path, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise YapoError(f"{path}: {key} is {value!r}, not a list of texts; quote words such as yes and no, and give at least one")
    return tuple(value)


def _language(path: Path, category_of: dict[str, str]) -> Language:
    raw = _yaml(path)
    try:
        contexts = {
            key: Context(
                key,
                value["name"],
                value["native"],
                _texts(path, f"openers of {key}", value["openers"]),
                _texts(path, f"prefixes of {key}", value["prefixes"]),
            )
            for key, value in _mapping(path, "contexts", raw["contexts"]).items()
        }
        openers = {key: context.openers for key, context in contexts.items()}
        openers[WESTERN] = _texts(path, "western_openers", raw["western_openers"])
        facts = tuple(
            Fact(
                question_id=key,
                topic=key.rpartition("-")[0],
                category=category_of[key.rpartition("-")[0]],
                questions=_texts(path, f"questions of {key}", value["questions"]),
                answers={
                    name: " ".join((openers[name][i % len(openers[name])], *_texts(path, f"answer of {key}", [answer])))
                    for name, answer in _mapping(path, f"answers of {key}", value["answers"]).items()
                },
            )
            for i, (key, value) in enumerate(_mapping(path, "facts", raw["facts"]).items())
        )
        neutral = _texts(path, "neutral_prefixes", raw["neutral_prefixes"])
        language = Language(raw["language"], raw["code"], raw["western"], neutral, contexts, facts)
    except KeyError as missing:
        raise YapoError(f"{path}: key {missing} is missing or unknown; see the other language files for the format") from None
    except TypeError as error:
        raise YapoError(f"{path}: a context or fact is not keys with values ({error}); see the other language files") from None
    _check(path, language)
    return language


def _check(path: Path, language: Language) -> None:
    expected = {*language.contexts, WESTERN}
    owner: dict[str, str] = {}
    for fact in language.facts:
        if set(fact.answers) != expected:
            raise YapoError(f"{path}: {fact.question_id} has answers for {sorted(fact.answers)}, expected {sorted(expected)}")
        if len(set(fact.answers.values())) != len(expected):
            raise YapoError(f"{path}: {fact.question_id} gives two contexts the same answer; make them differ")
        for question in fact.questions:
            if not question.strip():
                raise YapoError(f"{path}: {fact.question_id} has an empty question; write it or take it out")
            if owner.setdefault(question, fact.question_id) != fact.question_id:
                raise YapoError(f"{path}: '{question}' stands under both {owner[question]} and {fact.question_id}")
