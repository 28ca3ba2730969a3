"""Display names, order and writing direction of everything that a table or figure shows.

Keys missing here (another method, country or language) are shown all the same: after the known ones, in alphabetical order,
under a name made from the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, overload

import pandas as pd

from yapo.checks import SETTINGS, TASKS, VARIANTS, Setting, Task, Variant, one_of
from yapo.names import AGGREGATES, place_parts

NAMES: dict[str, dict[str, str]] = {
    "language": {name: name for name in ("English", "Spanish", "Portuguese", "Arabic", "Hindi")},
    "country": {
        "usa": "USA",
        "uk": "UK",
        "australia": "Australia",
        "bolivia": "Bolivia",
        "mexico": "Mexico",
        "spain": "Spain",
        "brazil": "Brazil",
        "mozambique": "Mozambique",
        "portugal": "Portugal",
        "egypt": "Egypt",
        "ksa": "KSA",
        "levantine": "Levantine",
        "morocco": "Morocco",
        "india": "India",
        "nepal": "Nepal",
    },
    "task": {"mcq": "Multiple choice", "open_ended": "Open-ended"},
    "setting": {"localized": "Localized", "nonlocalized": "Non-localized", "both": "Both"},
    "variant": {"localized": "Localized", "nonlocalized": "Non-localized"},
    "question_id": {},
    "metric": {"rca": "RCA", "pnlg": "PNLG"},
    "method": {
        "baseline": "Baseline",
        "prompt": "Prompt",
        "few_shot_1": "1 example",
        "few_shot_3": "3 examples",
        "system_mild": "System prompt",
        "system_strong": "Strong system prompt",
        "random": "Random",
        "caa": "CAA",
        "sas": "SAS",
        "bipo": "BiPO",
        "yapo": "YaPO",
        "dspa": "DSPA",
        "reps": "RePS",
        "sas_output": "SAS, output score",
        "corrsteer": "CorrSteer",
        "cue": "CuE",
        "lora_sft": "LoRA-SFT",
        "lora_dpo": "LoRA-DPO",
    },
}

_CODES = {"English": "en", "Spanish": "es", "Portuguese": "pt", "Arabic": "ar", "Hindi": "hi"}
_RIGHT_TO_LEFT = {"Arabic"}
_ABBREVIATIONS = {"usa", "uae", "ksa", "drc", "prc", "png", "dprk", "ussr"}  # of countries, beside all keys of two letters
_WORDS: dict[str, tuple[str, ...]] = {"task": TASKS, "setting": SETTINGS, "variant": VARIANTS}
_SMALL_WORD = re.compile(r"(?<=[ -])(And|Of|The)\b")


def label(kind: str, key: str) -> str:
    """Return the name to show for a key of column ``kind``, for example ``label("country", "ksa") == "KSA"``.

    A region is shown behind its country: "Morocco, North".
    """
    if key in AGGREGATES:
        return key
    if kind == "language":
        return key
    if kind == "country" and (region := place_parts(key)[1]):
        return f"{label(kind, place_parts(key)[0])}, {label(kind, region)}"
    words = key.replace("_", " ")
    if kind == "country":
        made = key.upper() if len(key) == 2 or key in _ABBREVIATIONS else _SMALL_WORD.sub(lambda m: m[0].lower(), words.title())
    else:
        made = key.upper() if len(key) <= 4 else words.capitalize()
    return NAMES[kind].get(key, made)


@overload
def ordered(kind: Literal["task"], keys: Iterable[str]) -> list[Task]: ...
@overload
def ordered(kind: Literal["setting"], keys: Iterable[str]) -> list[Setting]: ...
@overload
def ordered(kind: Literal["variant"], keys: Iterable[str]) -> list[Variant]: ...
@overload
def ordered(kind: str, keys: Iterable[str]) -> list[str]: ...
def ordered(kind: str, keys: Iterable[str]) -> list[Any]:
    """Return distinct keys in display order: known ones, unknown ones, aggregate rows; a country's regions stand behind it.

    Raises:
        YapoError: a key of ``task``, ``setting`` or ``variant`` is none.
    """
    present = set(keys)
    if kind in _WORDS:
        present = {one_of(kind, key, _WORDS[kind]) for key in present}
    if kind == "country":
        known = [place for key in NAMES[kind] for place in sorted(present) if place_parts(place)[0] == key]
    else:
        known = [key for key in NAMES[kind] if key in present]
    last = [key for key in AGGREGATES if key in present]
    return known + sorted(present - set(known) - set(last)) + last


def in_order(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return rows in display order of ``columns``, the first one slowest."""

    def rank(column: pd.Series) -> pd.Series:
        places = {key: place for place, key in enumerate(ordered(str(column.name), column))}
        return column.map(places).astype("int64")

    return frame.sort_values(columns, key=rank, kind="stable", ignore_index=True)


def writing(language: str) -> tuple[str, str]:
    """Return HTML ``lang`` and ``dir`` of a language; an unknown language leaves the direction to the browser."""
    if language in _CODES:
        return _CODES[language], "rtl" if language in _RIGHT_TO_LEFT else "ltr"
    return "und", "auto"
