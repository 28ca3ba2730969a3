"""Deep-Culture-Lense (MBZUAI-Paris/Deep-Culture-Lense on the Hugging Face hub) as items.

The hub rows are texts: a prompt with its options in it, an answer in a box, a country, and whether the country is named. This
module reads them, tells which number is which option, pairs the two forms of each question, and finds the same question asked
of sibling countries (``yapo.data.variants``). Whatever it cannot read is dropped and counted; too much of it is refused.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from rapidfuzz import fuzz

from yapo.checks import Variant
from yapo.config import DataConfig
from yapo.data.hub import is_copy, read_hub
from yapo.data.mcq_text import boxed_number, parse_mcq
from yapo.data.option_order import option_order
from yapo.data.records import Fault, examples
from yapo.data.text import text_key
from yapo.data.variants import Pair, Pairing, Row, closer_than_strangers, fact_ids, fact_topics, pair_variants, western_controls
from yapo.errors import YapoError, unknown
from yapo.files import digest

COUNTRIES = {
    "English": ("usa", "uk", "australia"),
    "Spanish": ("bolivia", "mexico", "spain"),
    "Portuguese": ("brazil", "mozambique", "portugal"),
    "Arabic": ("egypt", "ksa", "levantine", "morocco"),
    "Hindi": ("india", "nepal"),
}
LANGUAGE = {country: language for language, countries in COUNTRIES.items() for country in countries}
FORMS: dict[str, Variant] = {"localized": "localized", "nolocalized": "nonlocalized"}
REQUIRED = ("prompt-mcq", "chosen-mcq", "country", "localization_status")
QUESTIONS = ("prompt_open_ended", "prompt")  # the first that is there
OPTIONAL = (*QUESTIONS, "chosen_open_ended", "topic", "category")
UNKNOWN = "unknown"
# The answers in words must speak for one way of counting by so many points of similarity (0 to 100) ...
CLEAR_MARGIN = 5.0
# ... and so many pairs must be more alike in their questions than strangers are (0.5 by chance).
TRUSTED_PAIRS = 0.9


class RefusedData(YapoError):
    """The data cannot be used; ``report`` says what was found."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Dropped(Fault):
    """A row that makes no item, and why."""

    country: str


@dataclass(frozen=True)
class _Boxed:
    """A row whose box is read, but not yet known to count from 0 or 1: its ``answer_index`` means nothing."""

    row: Row
    number: int
    gold: str  # the answer in words, where the data has it
    named: int | None  # the option that these words are
    stem: str  # the question of the multiple-choice prompt

    def fits(self, base: int) -> bool:
        """Tell whether the box is an option when counted from ``base``, and the one that the words name."""
        index = self.number - base
        return 0 <= index < len(self.row.options) and self.named in (None, index)

    def agreement(self, base: int) -> float:
        """Return the similarity of the answer in words to the boxed option, 0 to 100; 0 where the box is none."""
        index = self.number - base
        if not 0 <= index < len(self.row.options):
            return 0.0
        return float(fuzz.token_set_ratio(text_key(self.gold), text_key(self.row.options[index])))


def load_deep_culture_lense(config: DataConfig) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return all items of a hub data set or a local copy of it, and the report.

    The question is the open-ended prompt where there is one, otherwise the multiple-choice prompt without its options. The seed
    orders the options anew, the same in both forms: the data may keep a country at one position.

    Args:
        config: ``path`` is a hub id, or a folder with a copy (``save_to_disk``, or parquet files); ``revision`` a commit or
            branch of the hub; ``max_dropped`` the share of a country's rows that may be lost; ``seed`` the order of the options.

    Returns:
        Items (not yet checked), and counts of all that was read, decided and dropped.

    Raises:
        RefusedData: too many rows of a country are lost, or the evidence for the boxes or the pairs is not clear.
        YapoError: the data cannot be read, lacks a column, or names an unknown country or form.
    """
    table = read_hub(config.path, config.revision, REQUIRED, OPTIONAL)
    boxed, dropped = _parse(table)
    report = _describe_source(config, table, boxed)
    base, report["boxes"] = _base(boxed, config.max_dropped)
    if base is None:
        report["dropped_examples"] = examples(dropped)
        raise RefusedData(
            f"data.path={config.path}: {len(boxed)} of {len(table)} rows have a box and options, and these do not tell whether "
            "\\boxed{k} counts from 0 or from 1; give the whole data, with chosen_open_ended",
            report,
        )
    rows = []
    for one in boxed:
        if one.fits(base):
            rows.append(replace(one.row, answer_index=one.number - base))
        else:
            detail = f"box {one.number} of {len(one.row.options)} options, in words '{one.gold[:60]}'"
            dropped.append(Dropped(one.row.name, "contradiction", detail, one.row.country))
    pairing = pair_variants(rows)
    dropped += [Dropped(row.name, reason, row.question, row.country) for row, reason in pairing.dropped]
    facts = fact_ids(pairing.pairs)
    items = _items(pairing.pairs, facts, config.seed)
    report |= _describe(table, pairing, facts, items, dropped)
    _refuse(config, report)
    return items, report


def countries_in(path: str) -> dict[str, str]:
    """Return countries and their language, lower case, in the paper's order: those of a local copy, all of them for a hub id."""
    found = set(read_hub(path, "", ["country"])["country"].map(_text).str.lower()) if is_copy(path) else set(LANGUAGE)
    return {country: language.lower() for country, language in LANGUAGE.items() if country in found}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _parse(table: pd.DataFrame) -> tuple[list[_Boxed], list[Dropped]]:
    rows, dropped = [], []
    for cells in table.to_dict("records"):
        name, country, status = (_text(cells[column]) for column in ("row", "country", "localization_status"))
        if country.lower() not in LANGUAGE:
            raise unknown("country", f"{name}: country", country, LANGUAGE)
        if status.lower() not in FORMS:
            raise unknown("form", f"{name}: localization_status", status, FORMS)
        try:
            rows.append(_boxed(name, country.lower(), FORMS[status.lower()], cells))
        except _Unreadable as fault:
            reason, detail = fault.args
            dropped.append(Dropped(name, reason, detail, country.lower()))
    return rows, dropped


class _Unreadable(Exception):
    """Reason and detail."""


def _boxed(name: str, country: str, variant: Variant, cells: Mapping[Hashable, Any]) -> _Boxed:
    prompt, chosen = _text(cells["prompt-mcq"]), _text(cells["chosen-mcq"])
    if not prompt or not chosen:
        raise _Unreadable("empty", f"no {'chosen' if prompt else 'prompt'}-mcq")
    try:
        mcq = parse_mcq(prompt)
    except ValueError as fault:
        raise _Unreadable("options", str(fault)) from None
    keys = [text_key(option) for option in mcq.options]
    if len(set(keys)) < len(keys):
        raise _Unreadable("repeated_options", " | ".join(mcq.options))
    try:
        number, words = boxed_number(chosen)
    except ValueError as fault:
        raise _Unreadable("box", f"{fault}: '{chosen[:60]}'") from None
    asked = next((text for column in QUESTIONS if (text := _text(cells.get(column)))), "")
    question = asked if asked and text_key(asked) != text_key(prompt) else mcq.question
    if not question:
        raise _Unreadable("empty", "no question")
    topic, category = (_text(cells.get(column)) or UNKNOWN for column in ("topic", "category"))
    gold = _text(cells.get("chosen_open_ended"))
    named = {keys.index(key) for key in map(text_key, (words, gold)) if key in keys}
    if len(named) > 1:
        raise _Unreadable("contradiction", f"'{words[:60]}' in chosen-mcq, '{gold[:60]}' in chosen_open_ended")
    row = Row(name, country, LANGUAGE[country], variant, question, mcq.options, -1, topic, category)
    return _Boxed(row, number, gold or words, next(iter(named), None), mcq.question)


def _base(boxed: Sequence[_Boxed], tolerance: float) -> tuple[int | None, dict[str, Any]]:
    """Find from all rows what the first option is called, 0 or 1; nothing where they leave it open.

    Two kinds of evidence: boxes that are no option (or not the option that the words name) under one way of counting, and how
    alike the answer in words is to the boxed option. Where both are there they must agree.
    """
    misfits = {base: sum(not one.fits(base) for one in boxed) for base in (0, 1)}
    worded = [one for one in boxed if one.gold]
    likeness = {base: float(np.mean([one.agreement(base) for one in worded])) if worded else 0.0 for base in (0, 1)}
    possible = {base for base, count in misfits.items() if boxed and count <= tolerance * len(boxed)}
    likely = {base for base in (0, 1) if likeness[base] - likeness[1 - base] >= CLEAR_MARGIN}
    left = possible & likely if likely else possible
    base = next(iter(left)) if len(left) == 1 else None
    evidence = {
        "first_option_is": base,
        "rows": len(boxed),
        "misfits": {str(base): count for base, count in misfits.items()},
        "rows_with_words": len(worded),
        "likeness": {str(base): round(value, 1) for base, value in likeness.items()},
    }
    return base, evidence


def _items(pairs: Sequence[Pair], facts: Sequence[str], seed: int) -> pd.DataFrame:
    controls = western_controls(pairs, {language: len(countries) for language, countries in COUNTRIES.items()})
    topics = fact_topics(pairs, facts)
    phrasings: dict[tuple[str, str], int] = defaultdict(int)
    order = {country: i for i, country in enumerate(LANGUAGE)}
    listed = sorted(
        zip(facts, pairs, strict=True),
        key=lambda one: (order[one[1].localized.country], one[0], *(text_key(row.question) for row in reversed(one[1].rows))),
    )
    rows = []
    for fact, pair in listed:
        first = pair.localized
        phrasing = phrasings[fact, first.country]
        phrasings[fact, first.country] += 1
        options = [first.options[i] for i in option_order(len(first.options), seed, f"{fact}/{first.country}", phrasing)]
        keys = [text_key(option) for option in options]
        control = controls.get((first.language, first.option_set))
        for row in pair.rows:
            rows.append(
                {
                    "question_id": fact,
                    "language": first.language,
                    "country": first.country,
                    "topic": topics[fact][0],
                    "category": topics[fact][1],
                    "variant": row.variant,
                    "phrasing": phrasing,
                    "question": row.question,
                    "options": options,
                    "answer_index": keys.index(first.answer),
                    "answer": first.options[first.answer_index],
                    "control_index": -1 if control is None else keys.index(control),
                }
            )
    return pd.DataFrame(rows)


def _describe_source(config: DataConfig, table: pd.DataFrame, boxed: Sequence[_Boxed]) -> dict[str, Any]:
    columns = [name for name in (*REQUIRED, *OPTIONAL) if name in table]
    return {
        "source": config.path,
        "revision": config.revision,
        "rows": len(table),
        "splits": dict(Counter(table["row"].str.rpartition(" ")[0])),
        "columns": columns,
        "digest": digest(table[columns].astype(str).to_numpy().tolist()),
        "questions": {
            "from": next((name for name in QUESTIONS if name in columns), "prompt-mcq"),
            "not_in_the_mcq_prompt": sum(text_key(one.row.question) not in text_key(one.stem) for one in boxed),
        },
        "answers_in_words": {
            "rows": sum(bool(one.gold) for one in boxed),
            "not_an_option": sum(bool(one.gold) and one.named is None for one in boxed),
        },
    }


def _describe(
    table: pd.DataFrame, pairing: Pairing, facts: Sequence[str], items: pd.DataFrame, dropped: Sequence[Dropped]
) -> dict[str, Any]:
    pairs = pairing.pairs
    rows = Counter(table["country"].map(_text).str.lower())
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for one in dropped:
        reasons[one.country][one.reason] += 1
    positions: dict[str, Counter[int]] = defaultdict(Counter)
    asked: dict[str, set[str]] = defaultdict(set)
    for pair, fact in zip(pairs, facts, strict=True):
        positions[pair.localized.country][pair.localized.answer_index + 1] += 1
        asked[fact].add(pair.localized.country)
    alike = [pair.similarity for pair in pairs]
    trust = closer_than_strangers(pairs)
    return {
        "items": len(items),
        "countries": {
            country: {
                "rows": rows[country],
                "pairs": positions[country].total(),
                "dropped": dict(sorted(reasons[country].items())),
                "answer_at": {str(k): n for k, n in sorted(positions[country].items())},
            }
            for country in LANGUAGE
            if country in rows
        },
        "dropped_examples": examples(dropped),
        "pairs": {
            "pairs": len(pairs),
            "chosen_by_similarity": pairing.ties,
            "similarity_median": round(float(np.median(alike)), 1) if alike else None,
            "similarity_lowest": round(min(alike), 1) if alike else None,
            "closer_than_a_stranger": None if trust is None else round(trust, 4),
        },
        "facts": {
            "facts": len(asked),
            "by_language": dict(Counter(LANGUAGE[next(iter(countries))] for countries in asked.values())),
            "asked_of_all_siblings": sum(
                len(countries) == sum(country in rows for country in COUNTRIES[LANGUAGE[next(iter(countries))]])
                for countries in asked.values()
            ),
            "largest": max(Counter(facts).values(), default=0),
        },
        "items_with_a_control": int((items["control_index"] >= 0).sum()) if len(items) else 0,
        "topics": int(items["topic"].nunique()) if len(items) and "topic" in table else UNKNOWN,
    }


def _refuse(config: DataConfig, report: dict[str, Any]) -> None:
    """Refuse data that lose too many rows, or whose pairs look wrong. Duplicates are no loss: they repeat a row that is kept."""
    for country, counts in report["countries"].items():
        lost = {reason: n for reason, n in counts["dropped"].items() if reason != "duplicate"}
        share = sum(lost.values()) / (counts["rows"] - counts["dropped"].get("duplicate", 0))
        if share > config.max_dropped:
            why = ", ".join(f"{reason} {n}" for reason, n in lost.items())
            raise RefusedData(
                f"data.path={config.path}: {country} loses {share:.1%} of its rows ({why}), more than "
                f"data.max_dropped={config.max_dropped}; mend the data, or allow more",
                report,
            )
    trust = report["pairs"]["closer_than_a_stranger"]
    if trust is not None and trust < TRUSTED_PAIRS:
        raise RefusedData(
            f"data.path={config.path}: only {trust:.0%} of the pairs are more alike in their questions than strangers are, so "
            "the two forms are probably not paired rightly; give rows whose options tell the questions apart",
            report,
        )
