"""The steps of curation, and what each of them hands on: the candidates that it keeps, and those that it drops.

A candidate is one question asked about one country.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import pandas as pd

from yapo.config.curation import Step
from yapo.data.text import shown

STEPS: tuple[Step, ...] = get_args(Step)
Reason = Literal[
    "unreadable_reply",
    "missing_country",
    "invented_country",
    "no_answer",
    "no_control",
    "refusal",
    "too_long",
    "wrong_script",
    "wrong_language",
    "repetition",
    "repeated_answer",
    "same_as_control",
    "equal_options",
    "too_few_options",
    "near_duplicate_option",
    "near_duplicate_question",
    "question_names_country",
    "answer_names_country",
    "forms_differ",
]
MEANINGS: dict[Reason, str] = {
    "unreadable_reply": "The generator's reply holds no answers that can be read",
    "missing_country": "The reply leaves the country out",
    "invented_country": "The reply answers for a country that was not asked for",
    "no_answer": "The generator says that the question has no answer there",
    "no_control": "The Western control is missing or cannot be used, so no country's question can",
    "refusal": "The generator refuses",
    "too_long": "The answer is longer than a few words",
    "wrong_script": "Most letters are of another script than the language's",
    "wrong_language": "Words of grammar are those of another language",
    "repetition": "The answer repeats itself",
    "repeated_answer": "The country gives the same answer to too many questions",
    "same_as_control": "The answer is the Western control",
    "equal_options": "Another country gives the same answer",
    "too_few_options": "Too few distinct options are left",
    "near_duplicate_option": "The answer is nearly another option",
    "near_duplicate_question": "An earlier question is nearly the same",
    "question_names_country": "The non-localized question names a country or a place in it",
    "answer_names_country": "An answer names a country or a place in it",
    "forms_differ": "The two forms differ in more than the country's name",
}

FACT = ["language", "question_id"]
CANDIDATE = [*FACT, "country"]
DROPPED = ["step", *CANDIDATE, "topic", "reason", "detail"]


class Outcome(NamedTuple):
    """Candidates that a step keeps, and those that it drops (columns ``DROPPED``)."""

    kept: pd.DataFrame
    dropped: pd.DataFrame


class Drop(NamedTuple):
    """Why a candidate is dropped: the reason, and the text that shows it."""

    reason: Reason
    detail: str


def part(step: Step, candidates: pd.DataFrame, drops: Sequence[Drop | None]) -> Outcome:
    """Part candidates into those without a ``Drop`` and the dropped ones, both in their order."""
    gone = pd.Series([drop is not None for drop in drops], index=candidates.index, dtype=bool)
    rows: list[Mapping[str, object]] = [
        {"step": step, **{str(name): cell for name, cell in row.items()}, "reason": drop.reason, "detail": drop.detail}
        for row, drop in zip(candidates[[*CANDIDATE, "topic"]].to_dict("records"), drops, strict=True)
        if drop is not None
    ]
    return Outcome(candidates[~gone].reset_index(drop=True), dropped_table(rows))


def dropped_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Return a table of dropped candidates, also where there are none; long details are cut."""
    table = pd.DataFrame(rows, columns=DROPPED, dtype=object).astype(str)
    return table.assign(detail=[shown(detail, bare=True) for detail in table["detail"]])


def follow(first: Outcome, then: Outcome) -> Outcome:
    """Join two parts of one step: what the second keeps, and what both drop."""
    return Outcome(then.kept, pd.concat([first.dropped, then.dropped], ignore_index=True))
