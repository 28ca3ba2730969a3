"""The prompt control: every question in the form that names the country."""

from __future__ import annotations

import pandas as pd

from yapo.errors import YapoError


def named_questions(items: pd.DataFrame, asked: pd.DataFrame) -> list[str]:
    """Return the localized form of each asked question.

    Args:
        items: a country's items.
        asked: those of them that are asked, in either form.

    Raises:
        YapoError: a question has no localized form.
    """
    localized = items[items["variant"] == "localized"].set_index(["question_id", "phrasing"])
    questions = localized["question"].reindex(pd.MultiIndex.from_frame(asked[["question_id", "phrasing"]]))
    if questions.isna().any():
        question, phrasing = questions.index[questions.isna()][0]
        raise YapoError(
            f"{question}, phrasing {phrasing} has no localized form, which the prompt control asks; add it to the data"
        )
    return questions.tolist()
