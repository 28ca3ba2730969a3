"""Agreement of every two raters of the same answers: judges, people, and the list of caricatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from itertools import combinations

import numpy as np
import pandas as pd

from yapo.evaluation.agreement import Agreement, cohen_kappa
from yapo.evaluation.caricatures import Caricatures
from yapo.evaluation.metrics import round_half_up
from yapo.reporting.tables import TableOptions
from yapo.studies.open_answers.human_sheet import GRADES, JUDGES, LIST, WORDS

COLUMNS = ["scale", "first", "second", *(field.name for field in fields(Agreement))]
SCALES = {"score": GRADES, "caricature": range(len(WORDS))}


def all_ratings(answers: pd.DataFrame, sheets: Mapping[str, pd.DataFrame], caricatures: Caricatures) -> dict[str, pd.DataFrame]:
    """Return what raters gave, by scale: one row an answer, one column a rater who gave anything.

    Args:
        answers: from ``human_sheet.rated_answers``. Scores that are no whole numbers, as the offline reference's, are rounded.
        sheets: from ``human_sheet.read_sheets``.
        caricatures: stand for a rater of the scale ``caricature``.
    """
    scores = {judge: pd.Series(round_half_up(answers[column], 0), answers.index) for column, judge in JUDGES.items()}
    named = pd.Series(np.nan, answers.index)
    for country, part in answers.groupby("country"):
        found = caricatures.own(str(country), part["answer"].tolist())
        if found is not None:
            named[part.index] = np.asarray(found, dtype=float)
    people = {scale: {rater: sheet[scale].reindex(answers.index) for rater, sheet in sheets.items()} for scale in SCALES}
    given = {"score": scores | people["score"], "caricature": {LIST: named} | people["caricature"]}
    return {scale: pd.DataFrame(by_rater).dropna(axis="columns", how="all") for scale, by_rater in given.items()}


def agreement_cells(ratings: Mapping[str, pd.DataFrame], facts: pd.Series[str], options: TableOptions) -> pd.DataFrame:
    """Return Cohen's κ of every two raters of a scale.

    Args:
        ratings: from ``all_ratings``.
        facts: ``question_id`` of each answer.
        options: resamples, confidence and seed.

    Returns:
        ``scale``, ``first``, ``second``, ``value, low, high``, ``n`` (answers that both rated) and ``n_facts``.
    """
    found = []
    for scale, given in ratings.items():
        for first, second in combinations(given.columns, 2):
            kappa = cohen_kappa(
                given[first],
                given[second],
                facts.reindex(given.index).tolist(),
                SCALES[scale],
                resamples=options.resamples,
                confidence=options.confidence,
                seed=options.seed,
            )
            found.append({"scale": scale, "first": first, "second": second, **asdict(kappa)})
    return pd.DataFrame(found, columns=COLUMNS)
