"""Agreement of two raters on the same answers: Cohen's κ, with an interval that resamples facts.

κ = 1 - observed / expected disagreement (Cohen 1968, doi 10.1037/h0026256), as in scikit-learn's ``cohen_kappa_score``. That
takes milliseconds a resample; here all come from one table of grades for each fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from yapo.evaluation.bootstrap import Floats, alike, fact_weights, intervals


@dataclass(frozen=True)
class Agreement:
    """Cohen's κ of two raters.

    Attributes:
        value: κ; NaN where it is not defined, as when both raters give one grade throughout.
        low, high: of its bootstrap interval; NaN where there is none.
        n: answers that both rated.
        n_facts: facts that they are about.
    """

    value: float
    low: float
    high: float
    n: int
    n_facts: int


def cohen_kappa(
    first: ArrayLike,
    second: ArrayLike,
    facts: Sequence[str],
    grades: range,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Agreement:
    """Return Cohen's κ, weighted by squared distance where there are more than two grades, with its interval over facts.

    Args:
        first, second: the raters' grades of the same answers, ``[answers]``; NaN where an answer has none, which leaves it out.
        facts: the fact that each answer is about, ``[answers]``; answers about one are drawn together.
        grades: all that a rater may give, at equal distances.
        resamples, confidence, seed: of the bootstrap. Resamples in which κ is not defined are left out; where all are alike, as
            when the raters never differ, there is no interval.
    """
    one, other = (np.asarray(side, dtype=np.float64) for side in (first, second))
    both = np.isfinite(one) & np.isfinite(other)
    fact, names = pd.factorize(np.asarray(facts, dtype=object)[both], sort=True)
    if not len(names):
        return Agreement(np.nan, np.nan, np.nan, 0, 0)
    places = [side[both].astype(int) - grades[0] for side in (one, other)]
    cell = np.ravel_multi_index((fact, *places), (len(names), len(grades), len(grades)))
    tables = np.bincount(cell, minlength=len(names) * len(grades) ** 2).reshape(len(names), -1)
    weights = fact_weights(len(names), resamples if len(names) > 1 else 0, seed)
    kappas = _kappas((weights @ tables).reshape(-1, len(grades), len(grades)))
    draws = pd.DataFrame([kappas])
    found = intervals(draws, confidence).iloc[0]
    low, high = (np.nan, np.nan) if alike(draws)[0] else (float(found["low"]), float(found["high"]))
    return Agreement(float(kappas[0]), low, high, int(both.sum()), len(names))


def _kappas(tables: Floats) -> Floats:
    """Return κ of tables of two raters' grades, ``[tables, grades, grades]``; NaN where nothing could have differed."""
    place = np.arange(tables.shape[-1])
    apart = np.abs(place[:, None] - place[None, :])
    cost = apart**2 if len(place) > 2 else apart
    expected = tables.sum(axis=2)[:, :, None] * tables.sum(axis=1)[:, None, :] / tables.sum(axis=(1, 2))[:, None, None]
    with np.errstate(invalid="ignore"):
        kappas: Floats = 1 - (cost * tables).sum(axis=(1, 2)) / (cost * expected).sum(axis=(1, 2))
    return kappas
