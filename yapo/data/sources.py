"""Where items come from: the atlas that ships with the project, or a table in the items schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from yapo.config import DataConfig
from yapo.data.atlas import WESTERN, Context, Fact, Language, load_atlas
from yapo.data.schema import check_items
from yapo.errors import YapoError

# Read as they stand: an id keeps its zeros, an answer that looks like a number or a date stays text.
TEXTS = ("question_id", "language", "country", "topic", "category", "variant", "question", "answer")


def load_items(config: DataConfig) -> pd.DataFrame:
    """All items of the configured source, checked."""
    if config.source == "table":
        path = Path(config.path)
        return check_items(_read(path), path)
    rows = [
        row
        for language in load_atlas().values()
        for context in language.contexts.values()
        for fact in language.facts
        for row in _atlas_rows(language, context, fact, config.seed)
    ]
    return check_items(pd.DataFrame(rows), "the atlas")


def known_countries(config: DataConfig) -> dict[str, str]:
    """Countries of the configured source and the language of each, lower case, in the source's order."""
    if config.source == "table":
        pairs = load_items(config)[["country", "language"]].drop_duplicates("country")
        return {country: language.lower() for country, language in pairs.itertuples(index=False)}
    return {country: name for name, language in load_atlas().items() for country in language.contexts}


def _atlas_rows(language: Language, context: Context, fact: Fact, seed: int) -> list[dict[str, object]]:
    """Each wording once localized and once not; both carry the same option order, so the pair differs in the question alone."""
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
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".parquet": pd.read_parquet,
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
    }
    if path.suffix not in readers:
        raise YapoError(f"{path}: data.path must end in .parquet, .csv or .jsonl")
    try:
        return readers[path.suffix](path)
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file (data.path)") from None
    except (OSError, ValueError) as error:
        raise YapoError(f"{path}: cannot be read as {path.suffix[1:]} ({error})") from None


def _read_csv(path: Path) -> pd.DataFrame:
    """Options stand in one column as a JSON list."""
    frame = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(TEXTS, str))
    if "options" in frame:
        frame["options"] = frame["options"].map(json.loads)
    return frame


def _read_jsonl(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True, dtype=dict.fromkeys(TEXTS, str), convert_dates=False)
