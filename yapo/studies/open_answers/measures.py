"""Measures of sampled answers: diversity of each question's, caricatures and grades of each answer, and their means."""

from __future__ import annotations

from typing import Literal, get_args

import pandas as pd

from yapo.data.text import is_blank
from yapo.evaluation.bootstrap import resampled_means
from yapo.evaluation.caricatures import Caricatures
from yapo.evaluation.diversity import distinct, repetitions, self_chrf
from yapo.evaluation.judges.axbench import HIGHEST, PARTS, harmonic_mean
from yapo.evaluation.metrics import mean_over
from yapo.reporting.cells import TOP, records
from yapo.reporting.tables import TableOptions
from yapo.studies.means import with_changes

Measure = Literal[
    "distinct_1", "distinct_2", "self_chrf", "repeated", "empty", "own", "others",
    "score", "concept", "instruct", "fluency", "harmonic_mean",
]  # fmt: skip
MEASURES: tuple[Measure, ...] = get_args(Measure)
# The highest value of each; the lowest is 0.
HIGHEST_VALUES: dict[Measure, float] = {
    **dict.fromkeys(MEASURES, float(HIGHEST)),
    **dict.fromkeys(("distinct_1", "distinct_2"), 1.0),
    **dict.fromkeys(("self_chrf", "repeated", "empty", "own", "others"), 100.0),
    "score": TOP["open_ended"],
}
QUESTION = ["country", "method", "question_id", "variant", "phrasing"]
AVERAGE = "Average"  # in the place of a country


def measured(rows: pd.DataFrame, caricatures: Caricatures) -> pd.DataFrame:
    """Return every measure of every question or answer that has it.

    Args:
        rows: of the stage ``open_answers``, of all countries.
        caricatures: terms of countries, some of which may have none.

    Returns:
        ``country``, ``method``, ``question_id``, ``measure`` and ``score``: distinct-n (0 to 1) and self-chrF (0 to 100) of the
        samples of a question; of an answer whether it repeats an earlier one, is empty, or names a caricature of its ``own`` or
        of an ``others`` country (100 or 0), its score, its parts (0 to 2) and their harmonic mean.
    """
    frames = [_of_questions(rows), _of_answers(rows, caricatures)]
    return pd.concat(frames, ignore_index=True).dropna(subset="score").reset_index(drop=True)


def open_answer_cells(long: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the mean of every measure in every country and over countries, and its paired difference from the baseline.

    Args:
        long: from ``measured``.
        options: resamples, confidence and seed.

    Returns:
        ``country`` (``AVERAGE`` for the mean over those that have the measure), ``measure``, ``method``, ``value, low, high``,
        ``change, change_low, change_high``, ``n`` (questions or answers) and ``n_facts``.
    """
    keys = ["country", "measure", "method"]
    by_country = resampled_means(long, keys, resamples=options.resamples, seed=options.seed)
    means = pd.concat({AVERAGE: mean_over(by_country, "country", ["measure"])}, names=["country"])
    draws = pd.concat([by_country, means.reorder_levels(keys)])
    sized = pd.concat([long, long.assign(country=AVERAGE)])
    counts = sized.groupby(keys).agg(n=("score", "size"), n_facts=("question_id", "nunique")).reindex(draws.index)
    base = pd.MultiIndex.from_tuples([(country, measure, "baseline") for country, measure, _ in draws.index], names=keys)
    top = draws.index.get_level_values("measure").map(HIGHEST_VALUES)
    return with_changes(draws, base, options, facts=counts["n_facts"], top=top).join(counts).reset_index()


def unread_shares(rows: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """Return the share of judged answers without a ``score``, and without a ``harmonic_mean``, by country, method and measure.

    ``AVERAGE`` stands for the mean over countries. Where no judge was asked for parts, all answers lack a harmonic mean.
    """
    judged = rows[rows["judged"]]
    lacking = judged[["country", "method"]].assign(
        score=judged["score"].isna(), harmonic_mean=judged[[*PARTS]].isna().any(axis=1)
    )
    shares = lacking.groupby(["country", "method"])[["score", "harmonic_mean"]].mean().reset_index()
    means = shares.groupby("method")[["score", "harmonic_mean"]].mean().reset_index().assign(country=AVERAGE)
    long = pd.concat([shares, means]).melt(["country", "method"], value_name="share")
    return {(row["country"], row["method"], row["variable"]): row["share"] for row in records(long)}


def _of_questions(rows: pd.DataFrame) -> pd.DataFrame:
    grouped = rows.sort_values("sample", kind="stable").groupby(QUESTION, sort=False)["completion"]
    found = [(*key, distinct(texts := list(part), 1), distinct(texts, 2), self_chrf(texts)) for key, part in grouped]
    return _long(pd.DataFrame(found, columns=[*QUESTION, "distinct_1", "distinct_2", "self_chrf"]))


def _of_answers(rows: pd.DataFrame, caricatures: Caricatures) -> pd.DataFrame:
    ordered = rows.sort_values("sample", kind="stable")
    frame = ordered[[*QUESTION, "score", *PARTS]].assign(
        repeated=100.0 * ordered.groupby(QUESTION, sort=False)["completion"].transform(lambda part: repetitions(list(part))),
        empty=[100.0 * is_blank(text) for text in ordered["completion"]],
        harmonic_mean=harmonic_mean(*(ordered[part] for part in PARTS)),
    )
    for country, part in ordered.groupby("country", sort=False):
        for measure, named in (("own", caricatures.own), ("others", caricatures.others)):
            found = named(str(country), part["completion"].tolist())
            if found is not None:
                frame.loc[part.index, measure] = [100.0 * one for one in found]
    return _long(frame)


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in MEASURES if name in frame]
    long = frame.melt(["country", "method", "question_id"], names, var_name="measure")
    return long.rename(columns={"value": "score"})
