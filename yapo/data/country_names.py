"""Countries of the published data sets: the keys of their names, texts that name them, and the same texts without the name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from yapo.data.atlas import read_yaml
from yapo.data.naming import close_gap
from yapo.data.text import text_key
from yapo.errors import YapoError, unknown

FILE = Path(__file__).with_name("country_names.yaml")
_PREPOSITIONS = "in|of|from|across|within|throughout|inside|to"
_ARTICLE = re.compile(r"\b(a|an) \x00 *(\w)", re.IGNORECASE)
_ABBREVIATION = re.compile(r"[A-Z.]+")


@dataclass(frozen=True)
class CountryName:
    """How English names a country.

    Attributes:
        key: of the country.
        country: its names, the first of which is shown.
        people: adjectives, and names of its people.
    """

    key: str
    country: tuple[str, ...]
    people: tuple[str, ...]

    @property
    def place(self) -> str:
        """A place in a sentence: "in the USA", "in Egypt"."""
        name = self.country[0]
        article = "the " if name.startswith("United ") or name in ("Netherlands", "Philippines") else ""
        return f"in {article}{name}"

    def cut_from(self, text: str) -> str:
        """Return a question without the country's name: a proposal, which a reader checks.

        "in Egypt" is left out, "Egyptian" before a noun too, "Egypt's" becomes "the", and "Egyptians" "people".
        """
        text = self._phrase.sub(" ", self._possessive.sub("the ", text))
        text = self._adjective.sub("\x00 ", self._plural.sub("people", text))
        return close_gap(_ARTICLE.sub(_with_article, text).replace("\x00", " "))

    @cached_property
    def _phrase(self) -> re.Pattern[str]:
        return re.compile(rf",?\s*\b(?i:{_PREPOSITIONS}) (?:the )?(?:{_listed(self.country)})(?!\w|['’]s\b)")

    @cached_property
    def _possessive(self) -> re.Pattern[str]:
        return re.compile(rf"\b(?:the )?(?:{_listed(self.country)})['’]s ")

    @cached_property
    def _plural(self) -> re.Pattern[str]:
        plural = [name for name in self.people if (name.endswith("s") and name[:-1] in self.people) or name.endswith("men")]
        return re.compile(rf"\b(?:the )?(?:{_listed(plural)})\b" if plural else r"(?!)")

    @cached_property
    def _adjective(self) -> re.Pattern[str]:
        return re.compile(rf"\b(?:{_listed(self.people)})(?= [a-z])")


def _with_article(found: re.Match[str]) -> str:
    article = "an" if found[2].lower() in "aeiou" else "a"
    return f"{article.capitalize() if found[1][0].isupper() else article} {found[2]}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True)))


@cache
def country_names() -> Mapping[str, CountryName]:
    """Return the countries by key."""
    return {key: CountryName(key, tuple(cells["country"]), tuple(cells["people"])) for key, cells in read_yaml(FILE).items()}


@cache
def _keys() -> Mapping[str, str]:
    names = {text_key(name): key for key, one in country_names().items() for name in one.country}
    return names | {text_key(key.replace("_", " ")): key for key in country_names()}


def find_country(name: str) -> str | None:
    """Return the key of a country by any of its names, underscores for spaces; None where it is unknown."""
    return _keys().get(text_key(name.replace("_", " ")))


def country_key(name: object, where: str) -> str:
    """Return the key of a country; ``where`` is what an error begins with, as ``file: row 1: country``.

    Raises:
        YapoError: no country is called so.
    """
    if not isinstance(name, str) or not name.strip():
        raise YapoError(f"{where} is {name!r}; give the name of a country")
    key = find_country(name)
    if key is None:
        raise unknown("country", where, name, sorted(one.country[0] for one in country_names().values()))
    return key


@cache
def _anywhere() -> tuple[re.Pattern[str], re.Pattern[str]]:
    names = [name for one in country_names().values() for name in (*one.country, *one.people)]
    short = [name for name in names if _ABBREVIATION.fullmatch(name)]
    words = [name for name in names if name not in short]
    return re.compile(rf"(?<!\w)(?:{_listed(short)})(?!\w)"), re.compile(rf"(?<!\w)(?:{_listed(words)})(?!\w)", re.IGNORECASE)


def named_in(text: str) -> str:
    """Return the first name of any country or people in a text; nothing where there is none.

    Small letters count too ("turkey"), but for abbreviations ("us").
    """
    found = [match for pattern in _anywhere() if (match := pattern.search(text))]
    return min(found, key=re.Match[str].start)[0] if found else ""
