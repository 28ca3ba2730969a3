"""Test results that no table can be made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from yapo.errors import YapoError
from yapo.reporting.main_tables import build_tables
from yapo.reporting.tables import TableOptions

from .small_results import study


def spoilt(column: str, value: object) -> pd.DataFrame:
    """Test results with one cell changed."""
    evaluation = study(methods=("baseline", "yapo"), facts=1)[0]
    evaluation[column] = evaluation[column].astype(object)
    evaluation.loc[3, column] = value
    return evaluation


NEEDED = ("language", "country", "task", "setting", "method", "variant", "question_id", "phrasing", "score", "parsed")
BAD: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    **{f"no {name}": (lambda name=name: study(facts=1)[0].drop(columns=name), f"lack the column '{name}'") for name in NEEDED},
    **{
        f"{name} missing": (lambda name=name: spoilt(name, None), f"{name} is missing in row 3")
        for name in ("language", "country", "task", "setting", "method", "variant", "question_id")
    },
    "no rows": (lambda: study(facts=1)[0].head(0), "no rows"),
    "an unknown task": (lambda: spoilt("task", "essay"), "task=essay; it must be one of mcq, open_ended"),
    "an unknown setting": (lambda: spoilt("setting", "all"), "setting=all; it must be one of"),
    "an unknown variant": (lambda: spoilt("variant", "both"), "variant=both; it must be one of"),
    "a score in words": (lambda: spoilt("score", "right"), "score or parsed holds what is no number"),
    "a score below 0": (lambda: spoilt("score", -1.0), "score=-1 of"),
    "a score above 10": (lambda: spoilt("score", 11.0), "score=11 of"),
    "an infinite score": (lambda: spoilt("score", np.inf), "score=inf of"),
    "accuracy in percent": (lambda: study(facts=1)[0].assign(score=100.0), "score=100 of mcq; it must lie in 0..1"),
    "a row twice": (lambda: pd.concat([study(facts=1)[0]] * 2, ignore_index=True), "stands there twice; give each answer once"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_results_that_cannot_be_are_refused(case: tuple[Callable[[], pd.DataFrame], str]) -> None:
    make, said = case
    with pytest.raises(YapoError) as caught:
        build_tables(make(), study(facts=1)[1], TableOptions(resamples=0))
    message = str(caught.value)
    assert said in message and "\n" not in message and "; " in message
