"""Rows of the stage ``open_answers``, made up."""

from __future__ import annotations

import numpy as np
import pandas as pd

from yapo.evaluation.judges.axbench import PARTS


def rows_of(texts: dict[tuple[str, str, str], list[str]], scores: dict[str, float] | None = None) -> pd.DataFrame:
    """Return rows of one phrasing.

    Args:
        texts: samples by country, method and fact; the first of each question is judged.
        scores: of judged answers by their text; 5 for others.
    """
    made = [
        {
            "language": "English", "country": country, "method": method, "question_id": fact, "variant": "nonlocalized",
            "phrasing": 0, "question": f"What of {fact}?", "answer": f"gold {fact}", "sample": number, "completion": text,
            "judged": number == 0, "score": (scores or {}).get(text, 5.0) if number == 0 else np.nan,
            "second_score": np.nan, **dict.fromkeys(PARTS, np.nan),
        }
        for (country, method, fact), samples in texts.items()
        for number, text in enumerate(samples)
    ]  # fmt: skip
    return pd.DataFrame(made)
