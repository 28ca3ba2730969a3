"""Items from the atlases that ship with the project: every wording of a question, with its place named and not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from yapo.data.atlas import ATLAS_DIR, WESTERN, Context, Fact, Language, load_atlas
from yapo.data.option_order import option_order
from yapo.data.regions import REGIONS_DIR, load_regions
from yapo.names import language_folders, place_parts


def load_atlas_items(seed: int) -> pd.DataFrame:
    """Return the items of the atlas, not yet checked; ``seed`` orders the options.

    Raises:
        YapoError: see ``load_atlas``.
    """
    return _items(load_atlas(), seed)


def load_regional_items(seed: int) -> pd.DataFrame:
    """Return the items of the regional atlas, not yet checked; ``seed`` orders the options.

    Raises:
        YapoError: see ``load_regions``.
    """
    return _items(load_regions(), seed)


def countries_in_atlas() -> dict[str, str]:
    """Return the countries of the atlas and the folder of each one's language.

    Raises:
        YapoError: see ``load_atlas``.
    """
    return _places(load_atlas(), ATLAS_DIR)


def places_in_regional_atlas() -> dict[str, str]:
    """Return the countries of the regional atlas and their regions, and the folder of each one's language.

    Raises:
        YapoError: see ``load_regions``.
    """
    return _places(load_regions(), REGIONS_DIR)


def _items(languages: Mapping[str, Language], seed: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            row
            for language in languages.values()
            for context in language.contexts.values()
            for fact in language.facts
            for row in _rows(language, context, fact, seed)
        ]
    )


def _places(languages: Mapping[str, Language], folder: Path) -> dict[str, str]:
    return language_folders(((place, language.name) for language in languages.values() for place in language.contexts), folder)


def _rows(language: Language, context: Context, fact: Fact, seed: int) -> list[dict[str, object]]:
    """Return each wording once localized and once not, with the same order of options."""
    rows, answer = [], fact.answers[context.key]
    country, region = place_parts(context.key)
    distinct = list(dict.fromkeys(fact.answers.values()))  # a region may answer as its country does
    for phrasing, question in enumerate(fact.questions):
        options = [distinct[i] for i in option_order(len(distinct), seed, f"{fact.question_id}/{context.key}", phrasing)]
        for variant, prefixes in (("localized", context.prefixes), ("nonlocalized", language.neutral_prefixes)):
            rows.append(
                {
                    "question_id": fact.question_id,
                    "language": language.name,
                    "country": country,
                    "region": region,
                    "topic": fact.topic,
                    "category": fact.category,
                    "variant": variant,
                    "phrasing": phrasing,
                    "question": f"{prefixes[phrasing % len(prefixes)]} {question}".strip(),
                    "options": options,
                    "answer_index": options.index(answer),
                    "answer": answer,
                    "control_index": options.index(fact.answers[WESTERN]) if WESTERN in fact.answers else -1,
                }
            )
    return rows
