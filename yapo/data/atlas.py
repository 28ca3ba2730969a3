"""The culture atlas: the small real data set that ships with the project.

One YAML file per language holds questions (three wordings each) and, for every cultural context, a short answer in the
language or dialect of that place, plus a Western control. Answers are spoken ones: each opens with a filler of its place
("Mate,", "Órale,"), which rotates from fact to fact. ``topics.yaml`` names the topics of each category.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yapo.data.text import is_blank, shown, text_key
from yapo.errors import YapoError
from yapo.names import check_key, language_folders

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
    """One file of the atlas; ``western`` is empty where there is no Western control."""

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
    category_of: dict[str, str] = {}
    for category, names in read_yaml(path).items():
        for topic in texts(path, category, names):
            if category_of.setdefault(topic, category) != category:
                raise YapoError(f"{path}: topic {topic} stands under both {category_of[topic]} and {category}; keep one")
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != "topics.yaml")
    if not paths:
        raise YapoError(f"{folder}: holds no language file; copy the whole atlas folder")
    languages = {path.stem: _language(path, category_of) for path in paths}
    language_folders(((country, language.name) for language in languages.values() for country in language.contexts), folder)
    return languages


class SafeYamlLoader(yaml.CSafeLoader):
    """Refuses a key that is given twice, of which YAML would keep the last without a word."""


def _once(loader: SafeYamlLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} is given twice", problem_mark=node.start_mark)
    return loader.construct_mapping(node, deep=True)


SafeYamlLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _once)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys with values.

    Raises:
        YapoError: no such file, not valid YAML, a key that is given twice, or something else than keys with values.
    """
    try:
        return mapping(path, "the file", yaml.load(path.read_text(encoding="utf-8"), Loader=SafeYamlLoader))
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; copy its whole folder") from None
    except OSError as error:
        raise YapoError(f"{path}: cannot be read ({error.strerror}); give a file") from None
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:  # not UTF-8, or no date where one is tagged
        raise YapoError(f"{path}: not valid YAML ({' '.join(str(error).split())}); correct it there") from None


def mapping(path: Path, key: str, value: Any) -> dict[str, Any]:
    """Return keys with values that stand under a key of a file, or refuse what else stands there."""
    if not isinstance(value, dict):
        raise YapoError(f"{path}: {key} is {shown(value)}, not keys with values; see the other language files for the format")
    for name in value:
        if not isinstance(name, str):
            raise YapoError(f"{path}: {key} has the key {name!r}, not a text; put it in quotes")
    return value


def texts(path: Path, key: str, value: Any) -> tuple[str, ...]:
    """Return the list of texts, at least one, that stands under a key of a file, or refuse what else stands there."""
    if not isinstance(value, list) or not value or not all(isinstance(part, str) for part in value):
        raise YapoError(
            f"{path}: {key} is {shown(value)}, not a list of texts; quote words such as yes and no, and give at least one"
        )
    return tuple(value)


def filled_text(path: Path, key: str, value: Any) -> str:
    """Return the text that stands under a key of a file, or refuse what else stands there."""
    if not isinstance(value, str) or is_blank(value):
        raise YapoError(f"{path}: {key} is {shown(value)}, not a text; write one, in quotes if it is a word such as no")
    return value


def _category(path: Path, key: str, category_of: dict[str, str]) -> str:
    topic = key.rpartition("-")[0]
    if topic not in category_of:
        raise YapoError(f"{path}: fact {key} is of no topic in topics.yaml; name it TOPIC-NUMBER, such as breakfast-1")
    return category_of[topic]


def _language(path: Path, category_of: dict[str, str]) -> Language:
    raw = read_yaml(path)
    try:
        contexts = {
            key: Context(
                key,
                filled_text(path, f"name of {key}", value["name"]),
                filled_text(path, f"native of {key}", value["native"]),
                texts(path, f"openers of {key}", value["openers"]),
                texts(path, f"prefixes of {key}", value["prefixes"]),
            )
            for key, value in mapping(path, "contexts", raw["contexts"]).items()
        }
        for key in contexts:
            check_key(key, f"{path}: context")
        if WESTERN in contexts:
            raise YapoError(f"{path}: {WESTERN} is the control and no context; name the context otherwise")
        openers = {key: context.openers for key, context in contexts.items()}
        openers[WESTERN] = texts(path, "western_openers", raw["western_openers"])
        facts = tuple(
            Fact(
                question_id=key,
                topic=key.rpartition("-")[0],
                category=_category(path, key, category_of),
                questions=texts(path, f"questions of {key}", value["questions"]),
                answers={
                    name: f"{openers[name][i % len(openers[name])]} {filled_text(path, f'answer of {key}', answer)}"
                    for name, answer in mapping(path, f"answers of {key}", value["answers"]).items()
                },
            )
            for i, (key, value) in enumerate(mapping(path, "facts", raw["facts"]).items())
        )
        neutral = texts(path, "neutral_prefixes", raw["neutral_prefixes"])
        name, code, western = (filled_text(path, key, raw[key]) for key in ("language", "code", "western"))
        language = Language(name, code, western, neutral, contexts, facts)
    except KeyError as missing:
        raise YapoError(f"{path}: key {missing} is missing or unknown; see the other language files for the format") from None
    except TypeError as error:
        raise YapoError(f"{path}: a context or fact is not keys with values ({error}); see the other language files") from None
    _check(path, language)
    return language


def _check(path: Path, language: Language) -> None:
    if language.name.lower() != path.stem:
        raise YapoError(
            f"{path}: language {language.name!r} belongs in {language.name.lower()}.yaml; rename the file or the language"
        )
    if not (language.contexts and language.facts):
        raise YapoError(f"{path}: contexts or facts is empty; write at least one of each, or remove the file")
    expected = {*language.contexts, WESTERN}
    for fact in language.facts:
        if set(fact.answers) != expected:
            raise YapoError(
                f"{path}: {fact.question_id} has answers for {sorted(fact.answers)}; give one for each of {sorted(expected)}"
            )
        if len(set(map(text_key, fact.answers.values()))) != len(expected):
            raise YapoError(f"{path}: {fact.question_id} gives two contexts the same answer; make them differ")
    check_questions(path, language)


def check_questions(path: Path, language: Language) -> None:
    """Refuse a question that is empty or stands under two facts."""
    owner: dict[str, str] = {}
    for fact in language.facts:
        for question in fact.questions:
            if is_blank(question):
                raise YapoError(f"{path}: {fact.question_id} has an empty question; write it or take it out")
            if owner.setdefault(text_key(question), fact.question_id) != fact.question_id:
                first = owner[text_key(question)]
                raise YapoError(f"{path}: '{question}' stands under both {first} and {fact.question_id}; keep one")
