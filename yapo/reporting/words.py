"""Phrases that several tables and figures need: means over countries, what scores mean, what brackets hold."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from yapo.evaluation.bootstrap import alike
from yapo.reporting.names import ordered
from yapo.reporting.numbers import plural


def mean_over_countries(number: int) -> str:
    """Return "mean over 2 countries", or "one country" where there is nothing to average."""
    return "one country" if number == 1 else f"mean over {plural(number, 'country')}"


def scores_told(tasks: Iterable[str], scorer: str) -> str:
    """Return what the scores of the tasks that are there mean, joined by "and"."""
    names = {"mcq": "multiple-choice accuracy (%)", "open_ended": f"open-ended score (0 to 10; scorer: {scorer})"}
    return " and ".join(names[task] for task in ordered("task", tasks))


def edge_note(draws: pd.DataFrame) -> tuple[str, ...]:
    """Return the footnote on the intervals of cells in which all facts are alike, where there are any."""
    if not alike(draws).any():
        return ()
    return (
        "Where all facts are alike, as when every answer is right or every answer is wrong, a bootstrap sees no spread: the "
        "interval there is Clopper and Pearson's, counted in facts.",
    )
