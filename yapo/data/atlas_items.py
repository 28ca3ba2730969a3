"""Items from the culture atlas that ships with the project: every wording of a question, with its country named and not."""

from __future__ import annotations

import pandas as pd

from yapo.data.atlas import ATLAS_DIR, WESTERN, Context, Fact, Language, load_atlas
from yapo.data.option_order import option_order
from yapo.names import language_folders


def load_atlas_items(seed: int) -> pd.DataFrame:
    """Return the items of the atlas, not yet checked; ``seed`` orders the options.

    Raises:
        YapoError: see ``load_atlas``.
    """
    rows = [
        row
        for language in load_atlas().values()
        for context in language.contexts.values()
        for fact in language.facts
        for row in _rows(language, context, fact, seed)
    ]
    return pd.DataFrame(rows)


def countries_in_atlas() -> dict[str, str]:
    """Return the countries of the atlas and the folder of each one's language.

    Raises:
        YapoError: see ``load_atlas``.
    """
    pairs = [(country, language.name) for language in load_atlas().values() for country in language.contexts]
    return language_folders(pairs, ATLAS_DIR)


def _rows(language: Language, context: Context, fact: Fact, seed: int) -> list[dict[str, object]]:
    """Return each wording once localized and once not, with the same order of options."""
    rows = []
    for phrasing, question in enumerate(fact.questions):
        places = option_order(len(fact.answers), seed, f"{fact.question_id}/{context.key}", phrasing)
        order = [list(fact.answers)[i] for i in places]
        for variant, prefixes in (("localized", context.prefixes), ("nonlocalized", language.neutral_prefixes)):
            rows.append(
                {
                    "question_id": fact.question_id,
                    "language": language.name,
                    "country": context.key,
                    "topic": fact.topic,
                    "category": fact.category,
                    "variant": variant,
                    "phrasing": phrasing,
                    "question": f"{prefixes[phrasing % len(prefixes)]} {question}".strip(),
                    "options": [fact.answers[name] for name in order],
                    "answer_index": order.index(context.key),
                    "answer": fact.answers[context.key],
                    "control_index": order.index(WESTERN),
                }
            )
    return rows
