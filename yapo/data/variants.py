"""Find which published rows belong together: the two forms of a question, and the questions that are one fact.

Deep-Culture-Lense gives every question with its country named (localized) and not named, and to every country of a language, but
no column says which rows these are. What they share says it: the options and the right one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rapidfuzz import fuzz, process
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from yapo.checks import Variant
from yapo.data.text import text_key
from yapo.files import digest

OptionSet = frozenset[str]


@dataclass(frozen=True, eq=False)
class Row:
    """One published row, read."""

    name: str  # split and number, for reports
    country: str
    language: str
    variant: Variant
    question: str
    options: tuple[str, ...]
    answer_index: int
    topic: str
    category: str

    @cached_property
    def answer(self) -> str:
        """The right option, as a key."""
        return text_key(self.options[self.answer_index])

    @cached_property
    def option_set(self) -> OptionSet:
        """The options as keys, without their order."""
        return frozenset(map(text_key, self.options))


@dataclass(frozen=True, eq=False)
class Pair:
    """The two forms of one question to one country. Options and answer are those of the localized row."""

    localized: Row
    nonlocalized: Row
    similarity: float  # of the two questions, 0 to 100

    @property
    def rows(self) -> tuple[Row, Row]:
        """Both forms."""
        return self.localized, self.nonlocalized


@dataclass(frozen=True)
class Pairing:
    """Pairs, what is left over (row and reason), and how many pairs had more than one candidate."""

    pairs: list[Pair]
    dropped: list[tuple[Row, str]]
    ties: int


def pair_variants(rows: Iterable[Row]) -> Pairing:
    """Pair localized with non-localized rows of the same country, options and right option.

    Where several rows share these, they are paired so that the questions of all pairs together are most alike (token set ratio).
    Rows that say the same as an earlier one are dropped as ``duplicate``; a pair that asks a country a question it was already
    asked, with other options, as ``same_question``; rows without a partner as ``unpaired``.
    """
    groups: dict[tuple[str, OptionSet, str], dict[str, dict[str, Row]]] = defaultdict(lambda: defaultdict(dict))
    dropped, pairs, ties = [], [], 0
    for row in rows:
        forms = groups[row.country, row.option_set, row.answer][row.variant]
        if text_key(row.question) in forms:
            dropped.append((row, "duplicate"))
        else:
            forms[text_key(row.question)] = row
    for group in groups.values():
        localized, nonlocalized = list(group["localized"].values()), list(group["nonlocalized"].values())
        matched = _match(localized, nonlocalized)
        ties += len(matched) if max(len(localized), len(nonlocalized)) > 1 else 0
        pairs += matched
        paired = {id(row) for pair in matched for row in pair.rows}
        dropped += [(row, "unpaired") for row in [*localized, *nonlocalized] if id(row) not in paired]
    kept, asked = [], set[tuple[str, str, str]]()
    for pair in pairs:
        keys = {(row.country, row.variant, text_key(row.question)) for row in pair.rows}
        if keys & asked:
            dropped += [(row, "same_question") for row in pair.rows]
        else:
            kept.append(pair)
        asked |= keys
    return Pairing(kept, dropped, ties)


def _match(localized: list[Row], nonlocalized: list[Row]) -> list[Pair]:
    if not localized or not nonlocalized:
        return []
    texts = [[text_key(row.question) for row in rows] for rows in (localized, nonlocalized)]
    similarity = process.cdist(texts[0], texts[1], scorer=fuzz.token_set_ratio, dtype=np.float64)
    first, second = linear_sum_assignment(similarity, maximize=True)
    return [
        Pair(localized[i], nonlocalized[j], float(similarity[i, j])) for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]


def closer_than_strangers(pairs: Sequence[Pair]) -> float | None:
    """Return the share of pairs whose questions are more alike than with a stranger: evidence that does not come from options.

    A pair's stranger is the non-localized question of the pair half a country's list away; a tie counts half. Right pairs give
    about 1, wrong ones about 0.5. Nothing where no country has two pairs.
    """
    countries: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        countries[pair.localized.country].append(pair)
    wins = []
    for of_country in countries.values():
        strangers = of_country[len(of_country) // 2 :] + of_country[: len(of_country) // 2]
        for pair, stranger in zip(of_country, strangers, strict=True):
            if stranger is not pair:
                other = fuzz.token_set_ratio(text_key(pair.localized.question), text_key(stranger.nonlocalized.question))
                wins.append(0.5 if pair.similarity == other else float(pair.similarity > other))
    return float(np.mean(wins)) if wins else None


def fact_ids(pairs: Sequence[Pair]) -> list[str]:
    """Return the fact of every pair; pairs of one fact must stand in one split.

    Two pairs of a language are one fact if they share more than half of their options, if the very same question is asked in
    both, or if others join them so. The id depends on the language and the options alone, not on the order of the data.
    """
    if not pairs:
        return []
    sets = list(dict.fromkeys((pair.localized.language, pair.localized.option_set) for pair in pairs))
    number = {key: i for i, key in enumerate(sets)}
    set_of = [number[pair.localized.language, pair.localized.option_set] for pair in pairs]
    edges = [*_alike(sets), *_same_question(pairs, set_of)]
    first, second = (np.array([edge[side] for edge in edges], dtype=np.int64) for side in (0, 1))
    graph = coo_array((np.ones(len(edges), dtype=np.int8), (first, second)), shape=(len(sets), len(sets)))
    _, component = connected_components(graph, directed=False)
    members: dict[int, list[list[str]]] = defaultdict(list)
    for (_, options), label in zip(sets, component.tolist(), strict=True):
        members[label].append(sorted(options))
    names = {label: digest(sorted(options)) for label, options in members.items()}
    return [f"{pair.localized.language.lower()}-{names[component[i]]}" for pair, i in zip(pairs, set_of, strict=True)]


def _alike(sets: Sequence[tuple[str, OptionSet]]) -> list[tuple[int, int]]:
    """Find option sets of one language that share more than half of the larger."""
    column: dict[tuple[str, str], int] = {}
    where = [
        (i, column.setdefault((language, option), len(column)))
        for i, (language, options) in enumerate(sets)
        for option in options
    ]
    rows, columns = zip(*where, strict=True)
    incidence = csr_array((np.ones(len(where), dtype=np.int32), (rows, columns)), shape=(len(sets), len(column)))
    shared = coo_array(incidence @ incidence.T)
    sizes = np.array([len(options) for _, options in sets])
    first, second = shared.coords
    near = 2 * shared.data > np.maximum(sizes[first], sizes[second])
    return list(zip(first[near].tolist(), second[near].tolist(), strict=True))


def _same_question(pairs: Sequence[Pair], set_of: Sequence[int]) -> list[tuple[int, int]]:
    holder: dict[tuple[str, str], int] = {}
    edges = []
    for pair, i in zip(pairs, set_of, strict=True):
        for row in pair.rows:
            edges.append((i, holder.setdefault((row.language, text_key(row.question)), i)))
    return edges


def western_controls(pairs: Sequence[Pair], countries_of: dict[str, int]) -> dict[tuple[str, OptionSet], str]:
    """Return the control option of every option set where it can be told: the one option that is no country's answer.

    It can be told only where all countries of the language (``countries_of``: their number) are asked with these options and
    give different answers, so that no sibling's answer is taken for the control.
    """
    answers: dict[tuple[str, OptionSet], dict[str, str]] = defaultdict(dict)
    for pair in pairs:
        answers[pair.localized.language, pair.localized.option_set][pair.localized.country] = pair.localized.answer
    controls = {}
    for (language, options), given in answers.items():
        left = options - set(given.values())
        if len(given) == countries_of[language] and len(left) == 1:
            controls[language, options] = next(iter(left))
    return controls


def fact_topics(pairs: Sequence[Pair], facts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return topic and category of every fact: those most of its rows name (the first by name where equal)."""
    named: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for pair, fact in zip(pairs, facts, strict=True):
        named[fact].update((row.topic, row.category) for row in pair.rows)
    return {fact: min(counts, key=lambda names: (-counts[names], names)) for fact, counts in named.items()}
