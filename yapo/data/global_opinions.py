"""GlobalOpinionQA (Durmus et al., arXiv 2306.16388): survey questions, and how the people of each country answered them.

A row holds a question, its options, and the shares of the answers by country, as Python wrote them:
``defaultdict(<class 'list'>, {'Egypt': [0.4, 0.6], ...})``. They are read as literals; nothing is executed.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from dataclasses import dataclass

from yapo.data.country_names import find_country
from yapo.data.published import Cells, Layout, text_of
from yapo.data.text import shown
from yapo.errors import YapoError

LAYOUT = Layout("Anthropic/llm_global_opinions of the hub", "*global_opinions*", ("question", "selections", "options"))
LANGUAGE = "english"
_DEFAULTDICT = re.compile(r"defaultdict\(<class 'list'>, (\{.*\})\)", re.DOTALL)
_NATIONAL = re.compile(r" \(Current national sample\)$")
_SUM = 0.02  # how far the shares of an answer may be from 1: they are rounded


@dataclass(frozen=True)
class Opinion:
    """How a country answered a question: ``shares`` of its ``options``, which sum to 1."""

    question_id: str
    question: str
    options: tuple[str, ...]
    shares: tuple[float, ...]


def countries_in(path: str) -> list[str]:
    """Return the countries that answered a question of a copy, by key; names of no country here are passed over."""
    found = {key for place, row in LAYOUT.read(path) for name in _selections(row, place) if (key := _key(name))}
    return sorted(found)


def load_opinions(path: str, country: str) -> tuple[list[Opinion], dict[str, int]]:
    """Return what a country answered, and how many questions were left out, by reason.

    Raises:
        YapoError: the copy cannot be read, a row is not as published, or the country answered nothing.
    """
    found: list[Opinion] = []
    dropped: Counter[str] = Counter()
    for number, (place, row) in enumerate(LAYOUT.read(path), start=1):
        shares = {key: values for name, values in _selections(row, place).items() if (key := _key(name))}.get(country)
        options = _options(row, place)
        if shares is None:
            dropped["the country was not asked"] += 1
        elif len(shares) != len(options):
            raise YapoError(f"{place}: {country} has {len(shares)} shares for {len(options)} options; give the file as published")
        elif len(options) < 2 or abs(sum(shares) - 1) > _SUM:
            dropped["its shares do not sum to 1"] += 1
        else:
            whole = sum(shares)
            opinion = Opinion(f"opinion-{number}", text_of(row, "question", place), options, tuple(x / whole for x in shares))
            found.append(opinion)
    if not found:
        raise YapoError(f"studies.opinions.path={path}: {country} answered none of its questions; leave it out")
    return found, dict(dropped)


def _key(name: str) -> str | None:
    """Return the country that a column of answers is of; other samples than the current national one are of none."""
    return find_country(_NATIONAL.sub("", name))


def _selections(row: Cells, place: str) -> dict[str, list[float]]:
    """Return the shares of each answer by the name of the country."""
    cell = row["selections"]
    text = cell.strip() if isinstance(cell, str) else ""
    wrapped = _DEFAULTDICT.fullmatch(text)
    value = _literal(wrapped[1] if wrapped else text)
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and isinstance(shares, list) and all(map(_is_share, shares)) for name, shares in value.items()
    ):
        raise YapoError(f"{place}: selections is {shown(cell)}; give shares by country, as published")
    return value


def _options(row: Cells, place: str) -> tuple[str, ...]:
    value = _literal(row["options"]) if isinstance(row["options"], str) else row["options"]
    if not isinstance(value, list) or not value:
        raise YapoError(f"{place}: options is {shown(row['options'])}; give a list of texts, as published")
    return tuple(str(option).strip() for option in value)


def _literal(text: str) -> object:
    """Return the Python literal that a text is; None where it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1
