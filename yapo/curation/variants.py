"""Fifth step: the two forms of a question, which differ in nothing but that one names the country."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from yapo.curation.choices import drop_and_offer_again
from yapo.curation.places import Language
from yapo.curation.seeds import SLOT
from yapo.curation.steps import Drop, Outcome
from yapo.data.naming import as_sentence, close_gap
from yapo.data.text import text_key

_WORD = re.compile(r"\w[\w\u0900-\u0963]*")


def localized_form(text: str, place: str) -> str:
    """Return a question with the country's place in its slot."""
    return as_sentence(text.replace(SLOT, place))


def without_slot(text: str) -> str:
    """Return a question without its slot, and without the space and the comma that belonged to it."""
    return close_gap(text.replace(SLOT, " "))


def differ_only_by(localized: str, nonlocalized: str, place: str) -> bool:
    """Tell whether the localized form has the words of the other one, in their order, and the place's in one stretch."""
    long, short, extra = (_WORD.findall(text_key(text)) for text in (localized, nonlocalized, place))
    return any(long == [*short[:at], *extra, *short[at:]] for at in range(len(short) + 1))


def make_variants(candidates: pd.DataFrame, languages: Mapping[str, Language], min_options: int, seed: int) -> Outcome:
    """Give candidates both forms; drop those that name a country where none may be named.

    An answer that names a country, or a place in one, is no option for the others either. The non-localized form is the seed's
    own where it has one, otherwise the text without its slot.

    Args:
        candidates: of the step ``duplicates``.
        languages: by name.
        min_options, seed: see ``choices.with_options``.

    Returns:
        Candidates with ``localized`` and ``nonlocalized``.
    """
    bare = [other or without_slot(text) for text, other in zip(candidates["text"], candidates["nonlocalized"], strict=True)]
    places = [
        languages[name].countries[key].place for name, key in zip(candidates["language"], candidates["country"], strict=True)
    ]
    forms = [localized_form(text, place) for text, place in zip(candidates["text"], places, strict=True)]
    columns = candidates[["language", "answer", "control"]].itertuples(index=False, name=None)
    faults = [
        _fault(languages[name], full, short, place, answer, control)
        for (name, answer, control), full, short, place in zip(columns, forms, bare, places, strict=True)
    ]
    both = candidates.assign(localized=forms, nonlocalized=bare)
    return drop_and_offer_again("variants", both, faults, min_options, seed)


def _fault(language: Language, localized: str, nonlocalized: str, place: str, answer: str, control: str) -> Drop | None:
    if name := language.named_in(nonlocalized):
        return Drop("question_names_country", f"{nonlocalized} ({name})")
    if not differ_only_by(localized, nonlocalized, place):
        return Drop("forms_differ", f"{localized} / {nonlocalized}")
    for text in (answer, control):
        if name := language.named_in(text):
            return Drop("answer_names_country", f"{text} ({name})")
    return None
