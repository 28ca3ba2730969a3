"""Seed questions: what a benchmark asks, with a slot for the country."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yapo.curation.places import Language
from yapo.data.atlas import SafeYamlLoader, read_yaml
from yapo.data.records import read_records
from yapo.data.text import is_blank, shown, text_key
from yapo.errors import YapoError, unknown

SLOT = "{country}"
ENDINGS = (".csv", ".jsonl", ".yaml", ".yml")
NEEDED = ("id", "language", "topic", "text")
OPTIONAL = ("countries", "nonlocalized")


@dataclass(frozen=True)
class SeedQuestion:
    """One question in one language.

    Attributes:
        question_id: the same in other languages that ask for the same thing.
        text: with ``{country}`` where the country is named.
        countries: about which it is asked.
        nonlocalized: the form that names no country, where leaving out the slot does not give it; otherwise empty.
    """

    question_id: str
    language: str
    topic: str
    category: str
    text: str
    countries: tuple[str, ...]
    nonlocalized: str = ""


def load_seeds(
    path: Path, topics: Mapping[str, str], languages: Mapping[str, Language], only: Collection[str] = ()
) -> list[SeedQuestion]:
    """Read seed questions; a file is taken whole or refused.

    Args:
        path: a csv, jsonl or yaml file with ``id, language, topic, text``, and perhaps ``countries`` and ``nonlocalized``.
        topics: category of each topic.
        languages: by name.
        only: countries of the benchmark; all where none is given. Questions about none of them are left out.

    Raises:
        YapoError: the file cannot be read or is empty, or a question has no slot, an id that its language has already, a text
            that stands twice, or an unknown topic, language or country. It names the question.
    """
    if path.suffix not in ENDINGS:
        raise YapoError(f"curation.seeds={path}: has another ending; name a file that ends in {', '.join(ENDINGS)}")
    questions: list[SeedQuestion] = []
    holders: dict[tuple[str, str], int] = {}
    asked: dict[tuple[str, str], int] = {}
    for number, row in _rows(path):
        where = f"{path}: question {number}"
        question = _question(where, row, topics, languages)
        _once(where, "id", holders, (question.language, question.question_id), number, question.question_id)
        _once(where, "text", asked, (question.language, text_key(question.text)), number, question.text)
        countries = tuple(country for country in question.countries if not only or country in only)
        if countries:
            questions.append(SeedQuestion(**{**vars(question), "countries": countries}))
    if not questions:
        raise YapoError(f"{path}: holds no question about curation.countries; give at least one")
    return questions


def load_topics(path: Path) -> dict[str, str]:
    """Read topics by category; return the category of each topic.

    Raises:
        YapoError: the file cannot be read, or holds something else than lists of topics.
    """
    found: dict[str, str] = {}
    for category, names in read_yaml(path).items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise YapoError(f"{path}: {category} is {shown(names)}; give a list of topics")
        for name in names:
            if found.setdefault(name, category) != category:
                raise YapoError(f"{path}: topic {name} stands under both {found[name]} and {category}; keep one")
    return found


def _rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    if path.suffix in (".csv", ".jsonl"):
        records = read_records(path)
        if records.faults:
            raise YapoError(f"{path}: question {records.faults[0].row}: {records.faults[0].detail}")
        rows = [(number, row) for number, (_, row) in enumerate(records.rows, start=1)]
    else:
        rows = list(enumerate(_yaml_list(path), start=1))
    if not rows:
        raise YapoError(f"{path}: holds no question; give at least one of {', '.join(NEEDED)}")
    return rows


def _yaml_list(path: Path) -> list[dict[str, Any]]:
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeYamlLoader)
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; correct curation.seeds") from None
    except (OSError, ValueError, AttributeError, yaml.YAMLError, RecursionError) as error:
        raise YapoError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); correct it there") from None
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise YapoError(f"{path}: holds {shown(value)}; write a list of questions, each with {', '.join(NEEDED)}")
    return value


def _question(where: str, row: Mapping[str, Any], topics: Mapping[str, str], languages: Mapping[str, Language]) -> SeedQuestion:
    missing = next((name for name in NEEDED if name not in row), None)
    if missing:
        raise YapoError(f"{where}: has no {missing}; give {', '.join(NEEDED)}")
    strange = next((name for name in row if name not in (*NEEDED, *OPTIONAL)), None)
    if strange is not None:
        raise unknown("column", where, str(strange), (*NEEDED, *OPTIONAL))
    for name in NEEDED:
        if not isinstance(row[name], str) or is_blank(row[name]):
            raise YapoError(f"{where}: {name} is {shown(row[name])}; give a text")
    text, language, topic = row["text"].strip(), row["language"], row["topic"]
    if not any(map(str.isalpha, text.replace(SLOT, ""))):
        raise YapoError(f"{where}: {shown(text)} asks nothing; write the question")
    if text.count(SLOT) != 1:
        raise YapoError(f"{where}: {shown(text)} has {text.count(SLOT)} slots; write {SLOT} once, where the country is named")
    if language not in languages:
        raise unknown("language", f"{where}: language", language, languages)
    if topic not in topics:
        raise unknown("topic", f"{where}: topic", topic, topics)
    other = row.get("nonlocalized") or ""
    if not isinstance(other, str) or SLOT in other:
        raise YapoError(f"{where}: nonlocalized is {shown(other)}; give a text without {SLOT}, or leave it out")
    countries = _countries(where, row.get("countries"), languages[language])
    return SeedQuestion(row["id"].strip(), language, topic, topics[topic], text, countries, other.strip())


def _countries(where: str, value: Any, language: Language) -> tuple[str, ...]:
    """Return the countries that a question names; all of its language where it names none."""
    names = [name for name in re.split(r"[\s;,]+", value) if name] if isinstance(value, str) else (value or [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise YapoError(f"{where}: countries is {shown(value)}; give a list of texts, in csv with spaces between")
    for name in names:
        if name not in language.countries:
            raise unknown("country", f"{where}: countries", name, language.countries)
    return tuple(country for country in language.countries if not names or country in names)


def _once(where: str, name: str, holders: dict[tuple[str, str], int], key: tuple[str, str], number: int, value: str) -> None:
    first = holders.setdefault(key, number)
    if first != number:
        raise YapoError(f"{where}: {name} {shown(value)} is that of question {first} too; give each its own")
