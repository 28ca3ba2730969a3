"""Languages and countries of a benchmark: how a country is named in its language, and which words give it away."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from yapo.data.atlas import WESTERN, read_yaml
from yapo.data.naming import name_pattern
from yapo.data.text import is_blank, shown, text_key
from yapo.errors import YapoError, unknown
from yapo.names import language_folders

_COUNTRY_KEYS = ("place", "dialect", "names")


@dataclass(frozen=True)
class Country:
    """One country of a language.

    Attributes:
        key: its name on command lines and in tables.
        place: what takes the slot of a seed question, such as "in Egypt".
        dialect: what the generator is told to write.
        names: of the country, its people and its cities.
    """

    key: str
    place: str
    dialect: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """One language.

    Attributes:
        name: as in the items.
        code: ISO 639-1.
        script: first word of the Unicode names of its letters, such as ``ARABIC``.
        register: of the Western control.
        words: words of grammar; none where the script alone tells the language.
        refusals: wordings of a refusal.
        attached: what may be written before a name without a space.
        countries: by key.
    """

    name: str
    code: str
    script: str
    register: str
    words: frozenset[str]
    refusals: tuple[str, ...]
    attached: tuple[str, ...]
    countries: dict[str, Country]

    @cached_property
    def refusal_keys(self) -> tuple[str, ...]:
        """Wordings of a refusal, as ``text_key`` has them."""
        return tuple(map(text_key, self.refusals))

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return name_pattern((name for country in self.countries.values() for name in country.names), self.attached)

    def named_in(self, text: str) -> str:
        """Return the first name of any of the language's countries in a text; nothing where there is none."""
        found = self._names.search(text_key(text))
        return found[0] if found else ""


def load_places(path: Path, only: Iterable[str] = ()) -> dict[str, Language]:
    """Read the languages and their countries.

    Args:
        path: a YAML file; ``world/curation/places.yaml`` explains its keys.
        only: countries to keep; all where none is given. Names of the others still count as names.

    Raises:
        YapoError: the file cannot be read, a key is missing or holds something else, or a country is unknown.
    """
    languages = {name: _language(path, name, _mapping(path, name, raw)) for name, raw in read_yaml(path).items()}
    if not languages:
        raise YapoError(f"{path}: holds no language; copy world/curation/places.yaml")
    folders = language_folders(((key, name) for name, language in languages.items() for key in language.countries), path)
    for country in only:
        if country not in folders:
            raise unknown("country", "curation.countries", country, folders)
    return languages


def _language(path: Path, name: str, raw: dict[str, Any]) -> Language:
    where = f"{path}: {name}"
    code, script, register = (_text(where, key, raw.get(key)) for key in ("code", "script", "register"))
    lists = {key: _texts(where, key, raw.get(key, [])) for key in ("words", "refusals", "attached")}
    countries = {
        key: _country(f"{where}.{key}", key, _mapping(path, f"{name}.{key}", value))
        for key, value in _mapping(path, f"{name}.countries", raw.get("countries")).items()
    }
    if not countries:
        raise YapoError(f"{where}: has no countries; give at least one")
    if WESTERN in countries:
        raise YapoError(f"{where}: {WESTERN} is the control and no country; name the country otherwise")
    words = frozenset(map(text_key, lists["words"]))
    language = Language(name, code, script.upper(), register, words, lists["refusals"], lists["attached"], countries)
    for key, country in countries.items():
        if not name_pattern(country.names, language.attached).search(text_key(country.place)):
            raise YapoError(f"{where}.{key}: place {shown(country.place)} has none of its names; add the one that it has")
    return language


def _country(where: str, key: str, raw: dict[str, Any]) -> Country:
    strange = next((name for name in raw if name not in _COUNTRY_KEYS), None)
    if strange is not None:
        raise unknown("key", where, strange, _COUNTRY_KEYS)
    names = _texts(where, "names", raw.get("names"))
    if not names:
        raise YapoError(f"{where}: names is empty; give the country's name, its people's and its cities'")
    return Country(key, _text(where, "place", raw.get("place")), _text(where, "dialect", raw.get("dialect")), names)


def _mapping(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise YapoError(f"{path}: {key} is {shown(value)}, not keys with values; see world/curation/places.yaml")
    return value


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or is_blank(value):
        raise YapoError(f"{where}: {key} is {shown(value)}; give a text, in quotes if it is a word such as no")
    return value


def _texts(where: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and not is_blank(text) for text in value):
        raise YapoError(f"{where}: {key} is {shown(value)}; give a list of texts, with words such as no in quotes")
    return tuple(value)
