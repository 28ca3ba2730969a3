"""Test results of a small study, and the items they answer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from yapo.reporting.tables import TableOptions

NOTE = "Embedded world: shows that the machinery works."
OPTIONS = TableOptions(resamples=60, scorer="offline reference", note=NOTE)
COUNTRIES = {"Arabic": ["egypt", "morocco"], "Hindi": ["india"]}
ASKED = {"Arabic": "ماذا يأكل الناس؟", "Hindi": "लोग क्या खाते हैं?"}


def study(methods: tuple[str, ...] = ("baseline", "caa", "yapo"), facts: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test results in which yapo is always right, and caa is unparsed on one question of Egypt."""
    rng = np.random.default_rng(0)
    items, rows = [], []
    for language, countries in COUNTRIES.items():
        for country in countries:
            for fact in range(facts):
                for phrasing in range(2):
                    for variant in ("localized", "nonlocalized"):
                        item = {"language": language, "country": country, "topic": "meals", "category": "meals"}
                        item |= {"question_id": f"meals-{fact}", "variant": variant, "phrasing": phrasing}
                        item |= {"question": ASKED[language], "answer": "a | b & <c>", "answer_index": 0, "control_index": 1}
                        items.append({**item, "options": ["a | b & <c>", "x", "y", "z"]})
                        for task in ("mcq", "open_ended"):
                            for setting in (variant, "both"):
                                for method in methods:
                                    right = method == "yapo" or bool(rng.random() < (0.6 if variant == "localized" else 0.3))
                                    unparsed = (method, task, country, fact, setting) == ("caa", "mcq", "egypt", 0, "localized")
                                    score = float(right and not unparsed)
                                    rows.append(
                                        {
                                            name: item[name]
                                            for name in ("language", "country", "variant", "question_id", "phrasing")
                                        }
                                        | {"task": task, "setting": setting, "method": method, "multiplier": 1.0, "epoch": 2}
                                        | {"score": score if task == "mcq" else 10 * score, "parsed": not unparsed}
                                        | {
                                            "completion": "\\boxed{1}\nsecond | line",
                                            "answer": "a | b & <c>",
                                            "question": ASKED[language],
                                        }
                                    )
    return pd.DataFrame(rows), pd.DataFrame(items)
