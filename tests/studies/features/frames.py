"""Rows as the stage ``features`` writes them, with overlaps that are known by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

COUNTRIES = {"usa": "English", "uk": "English", "egypt": "Arabic", "ksa": "Arabic"}
METHODS = ("bipo", "yapo")
WIDTH = 50


def vectors(settings: tuple[str, ...] = ("both", "localized")) -> pd.DataFrame:
    """Changes: BiPO's and YaPO's for a country are equal. Countries of a language are equal too, of two languages orthogonal;
    the setting "localized" turns every vector round. YaPO has one effect more, on a feature of its own."""
    rows = []
    for setting in settings:
        for method in METHODS:
            for country, language in COUNTRIES.items():
                axis = 0 if language == "English" else 1
                change = np.zeros(3, dtype=np.float32)
                change[axis] = 2.0 if setting == "both" else -2.0
                features = np.array([axis, 10 + axis, *([20] if method == "yapo" else [])], dtype=np.int32)
                effects = np.array([4.0, 2.0, 1.0][: len(features)], dtype=np.float32)
                rows.append(
                    {
                        "language": language, "country": country, "task": "mcq", "setting": setting, "method": method,
                        "space": "sparse", "multiplier": 1.0, "tokens": 9, "width": WIDTH, "touched": len(features),
                        "effective": 2.0, "length": 2.0, "change": change, "features": features, "effects": effects,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def top_row(country: str, method: str, feature: int, **changes: Any) -> dict[str, Any]:
    """Feature 7 is every country's: it fires on token 1 and topic food in all of them; other features on their own number."""
    shared = feature == 7
    label, topic = (1, "food") if shared else (feature, f"topic {feature}")
    row = {
        "language": COUNTRIES[country], "country": country, "task": "mcq", "setting": "both", "method": method,
        "rank": 0 if shared else 1, "feature": feature, "control": 40, "fires": 0.25, "fires_during": 0.5, "activation": 1.0,
        "kept_tokens": 0.8, "kept_topics": 0.6, "kept_mass": 0.5, "control_tokens": 0.1, "control_topics": 0.2,
        "control_mass": 0.05, "effect": 0.5 if shared else -2.0, "promoted": ["·مصر", "<b>"], "suppressed": ["x"],
        "tokens_before": [label, label], "tokens_during": [label], "tokens_control": [99, label],
        "topics_before": [topic, topic], "topics_during": [topic], "topics_control": ["other", "other"],
    }  # fmt: skip
    return {**row, **changes}


def tops() -> pd.DataFrame:
    """Feature 7 in all countries; one of its own in each, silenced in YaPO's."""
    rows = []
    for method in METHODS:
        for number, country in enumerate(COUNTRIES):
            rows.append(top_row(country, method, 7))
            gone = {"fires_during": 0.0, "tokens_during": [], "topics_during": []} if method == "yapo" else {}
            rows.append(top_row(country, method, 30 + number, **gone))
    return pd.DataFrame(rows)
