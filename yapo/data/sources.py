"""Items from the atlas that ships with the project, from a table in the items schema, or from Deep-Culture-Lense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from yapo.config import DataConfig
from yapo.data.atlas import ATLAS_DIR, WESTERN, Context, Fact, Language, load_atlas
from yapo.data.records import read_records
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.names import language_folders


def load_items(config: DataConfig) -> pd.DataFrame:
    """Return all items of the configured source, checked."""
    return load_items_and_report(config)[0]


def load_items_and_report(config: DataConfig) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Return the items, and what was dropped and decided on the way; no report from sources that take every row or none.

    Raises:
        RefusedData: more was lost than the configuration allows; the error carries the report.
        YapoError: the source cannot be read or holds a wrong item.
    """
    from yapo.data.schema import check_items  # here: known_countries, which every plan asks, has no use for pandera

    if config.source == "deep_culture_lense":
        from yapo.data.deep_culture_lense import load_deep_culture_lense  # here: its imports would slow every stage

        items, report = load_deep_culture_lense(config)
        return check_items(items, config.path), report
    if config.source == "localization_gap":
        from yapo.data.localization_gap import load_localization_gap  # likewise

        items, report = load_localization_gap(config.path)
        return check_items(items, config.path), report
    if config.source == "preferences":
        raise YapoError("data.source=preferences: preference files hold no items; the study of behaviours reads them")
    if config.source == "table":
        path = Path(config.path)
        return check_items(_read(path), path), None
    rows = [
        row
        for language in load_atlas().values()
        for context in language.contexts.values()
        for fact in language.facts
        for row in _atlas_rows(language, context, fact, config.seed)
    ]
    return check_items(pd.DataFrame(rows), "the atlas"), None


def known_countries(config: DataConfig, key: str = "data.path") -> dict[str, str]:
    """Return the countries of the configured source and the folder of each one's language, in the source's order.

    ``key`` is the setting that named a folder of preference files; errors name it.

    Raises:
        YapoError: the source cannot be read, or a name in it cannot become a folder; see ``yapo.names``.
    """
    if config.source == "deep_culture_lense":
        from yapo.data.deep_culture_lense import countries_in  # here: its imports would slow every stage

        return countries_in(config.path)
    if config.source == "localization_gap":
        from yapo.data import localization_gap  # likewise

        return language_folders(localization_gap.countries_in(config.path).items(), config.path)
    if config.source == "preferences":
        from yapo.data.behaviours import LANGUAGE, behaviours_in  # likewise

        return dict.fromkeys(behaviours_in(config.path, key), LANGUAGE)
    if config.source == "table":
        return language_folders(load_items(config)[["country", "language"]].itertuples(index=False, name=None), config.path)
    pairs = [(country, language.name) for language in load_atlas().values() for country in language.contexts]
    return language_folders(pairs, ATLAS_DIR)


def _atlas_rows(language: Language, context: Context, fact: Fact, seed: int) -> list[dict[str, object]]:
    """Return each wording once localized and once not, with the same order of options."""
    rows = []
    for phrasing, question in enumerate(fact.questions):
        key = [seed, phrasing, *f"{fact.question_id}/{context.key}".encode()]
        order = [list(fact.answers)[i] for i in np.random.default_rng(key).permutation(len(fact.answers))]
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


def _read(path: Path) -> pd.DataFrame:
    if path.suffix not in (".parquet", ".csv", ".jsonl"):
        raise YapoError(f"{path}: data.path must end in .parquet, .csv or .jsonl")
    try:
        there = path.is_file()
    except OSError as error:  # such as a name that is too long
        raise YapoError(f"{shown(str(path), bare=True)}: cannot be read ({error.strerror}); correct data.path") from None
    if not there:
        raise YapoError(f"{path}: no such file (data.path)")
    if path.suffix == ".parquet":
        try:
            return pd.read_parquet(path, engine="pyarrow")
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            reason = shown(" ".join(str(error).split()), bare=True)
            raise YapoError(f"{path}: cannot be read as parquet ({reason}); write it again") from None
    records = read_records(path)
    if records.faults:
        first = records.faults[0]
        raise YapoError(f"{path}: row {first.row}: {first.detail}")
    frame = pd.DataFrame([row for _, row in records.rows], columns=records.columns)
    if path.suffix == ".csv" and "options" in frame:
        frame["options"] = [_options(path, number, row["options"]) for number, row in records.rows]
    return frame


def _options(path: Path, number: int, cell: str) -> list[Any]:
    """Read the options in a cell, a JSON list."""
    try:
        options = json.loads(cell)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, list):
        raise YapoError(f'{path}: row {number}: options are {shown(cell)}; write a JSON list, such as ["tea", "coffee"]')
    return options
