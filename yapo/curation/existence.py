"""Second step, the existence filter: keep a candidate whose country has an answer of its own to the question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from yapo.curation.places import Language
from yapo.curation.steps import Drop, Outcome, follow, part
from yapo.curation.text_checks import text_fault
from yapo.data.text import text_key


def filter_existence(candidates: pd.DataFrame, languages: Mapping[str, Language], max_repeats: int) -> Outcome:
    """Drop candidates without a usable answer, without a usable control, or whose answer is the control.

    Then drop those whose answer the country gives to more than ``max_repeats`` questions: a generator that repeats itself.

    Args:
        candidates: of the step ``answers``.
        languages: by name.
        max_repeats: questions to which one answer may be given.
    """
    controls = {
        (name, control): text_fault(control, languages[name], languages.values())
        for name, control in candidates[["language", "control"]].drop_duplicates().itertuples(index=False, name=None)
    }
    drops = [
        _fault(answer, control, languages[name], languages, controls[name, control])
        for name, answer, control in candidates[["language", "answer", "control"]].itertuples(index=False, name=None)
    ]
    first = part("existence", candidates, drops)
    return follow(first, _without_repeats(first.kept, max_repeats))


def _fault(
    answer: str, control: str, language: Language, languages: Mapping[str, Language], control_fault: Drop | None
) -> Drop | None:
    fault = text_fault(answer, language, languages.values())
    if fault is not None:
        return fault
    if control_fault is not None:
        return Drop("no_control", f"{control_fault.reason}: {control}")
    return Drop("same_as_control", answer) if text_key(answer) == text_key(control) else None


def _without_repeats(candidates: pd.DataFrame, most: int) -> Outcome:
    keys = list(zip(candidates["language"], candidates["country"], map(text_key, candidates["answer"]), strict=True))
    times = Counter(key for key, _ in set(zip(keys, candidates["question_id"], strict=True)))
    drops = [
        Drop("repeated_answer", f"{answer} ({times[key]} questions)") if times[key] > most else None
        for key, answer in zip(keys, candidates["answer"], strict=True)
    ]
    return part("existence", candidates, drops)
