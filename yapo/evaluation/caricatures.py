"""Caricatures of countries: lists of terms, and the answers that name them.

A term is found as a run of whole words (``yapo.evaluation.words``), so that it is found whatever its case, marks and digits, and
never inside a longer word. Inflected forms, and forms with an article written to the word, are terms of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yapo.data.atlas import read_yaml
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.evaluation.words import words


@dataclass(frozen=True)
class Caricatures:
    """Terms that caricature each country.

    Attributes:
        terms: by country, each as ``" word word "``.
    """

    terms: dict[str, frozenset[str]]

    @classmethod
    def load(cls, path: Path) -> Caricatures:
        """Read a YAML file ``country: [term, ...]``.

        Raises:
            YapoError: the file cannot be read, a country has no list of texts, or a term has no letter or digit.
        """
        return cls({country: _terms(path, country, terms) for country, terms in read_yaml(path).items()})

    def own(self, country: str, texts: Sequence[str]) -> list[bool] | None:
        """Return which texts name a caricature of the country; None where it has no list."""
        return _named(texts, self.terms[country]) if country in self.terms else None

    def others(self, country: str, texts: Sequence[str]) -> list[bool] | None:
        """Return which texts name a caricature of another country that is not this one's too; None without other lists."""
        lists = [terms for other, terms in self.terms.items() if other != country]
        return _named(texts, frozenset().union(*lists) - self.terms.get(country, frozenset())) if lists else None


def _named(texts: Sequence[str], terms: frozenset[str]) -> list[bool]:
    spelled = [_spelled(text) for text in texts]
    return [any(term in text for term in terms) for text in spelled]


def _spelled(text: str) -> str:
    """Return the words of a text with a space before and behind each, so that a run of whole words is a part of it."""
    return f" {' '.join(words(text))} "


def _terms(path: Path, country: str, terms: object) -> frozenset[str]:
    if not isinstance(terms, list) or not terms:
        raise YapoError(f"{path}: {country} is {shown(terms)}; give a list of terms, or take the country out")
    for term in terms:
        if not isinstance(term, str) or not words(term):
            raise YapoError(
                f"{path}: {country} has the term {shown(term)}; give a text with a letter, in quotes if YAML takes it for more"
            )
    return frozenset(map(_spelled, terms))
