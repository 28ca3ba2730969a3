"""Mean scores of a data set under several conditions, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from yapo.evaluation.bootstrap import intervals, resampled_means

RESAMPLES = 2000
CONFIDENCE = 0.95
ConditionName = Literal["unsteered", "steered", "random"]
CONDITIONS: tuple[ConditionName, ...] = get_args(ConditionName)
Measure = Literal["preference", "choice", "containment", "judge"]
TOP: dict[Measure, float] = {"preference": 1.0, "choice": 1.0, "containment": 1.0, "judge": 10.0}


@dataclass(frozen=True)
class Score:
    """The mean score of a data set under one condition.

    Attributes:
        condition: what steers the model. The control is a random direction that moves the states as far as the vector does.
        measure: preference: share of pairs whose chosen answer is likelier, a token, than the rejected one; choice: share of
            questions whose right option is chosen; containment: share whose answer contains the right one, compared as texts;
            judge: mean grade, 0 to 10.
        value: the mean, with its 95 % bootstrap interval over prompts or question ids, ``low`` to ``high``; NaN where nothing
            was scored.
        n: how many pairs or questions.
        unread: how many of them chose no option that could be read (wrong), or got no grade (left out of the mean).
        displacement: mean norm of what steering adds to the states, as a share of their norm.
    """

    condition: ConditionName
    measure: Measure
    value: float
    low: float
    high: float
    n: int
    unread: int
    displacement: float


@dataclass(frozen=True)
class Scored:
    """Scores of pairs or questions under each condition.

    Attributes:
        measure: see ``Score``.
        scores: a number for each pair or question; NaN where there is none.
        unread: how many could not be read.
        clusters: what is resampled together, a name for each pair or question.
        displacement: see ``Score``.
    """

    measure: Measure
    scores: Mapping[ConditionName, Sequence[float]]
    unread: Mapping[ConditionName, int]
    clusters: Sequence[str]
    displacement: float

    def averaged(self, seed: int) -> list[Score]:
        """Return the mean under each condition; all conditions resample the same clusters."""
        parts = [
            pd.DataFrame({"condition": name, "question_id": self.clusters, "score": values})
            for name, values in self.scores.items()
        ]
        draws = resampled_means(pd.concat(parts), ["condition"], resamples=RESAMPLES, seed=seed)
        facts = np.full(len(draws), float(len(set(self.clusters))))
        found = intervals(draws, CONFIDENCE, facts=facts, span=(0.0, TOP[self.measure]))
        return [
            Score(
                condition=name,
                measure=self.measure,
                value=float(value),
                low=float(low),
                high=float(high),
                n=len(self.clusters),
                unread=self.unread.get(name, 0),
                displacement=0.0 if name == "unsteered" else self.displacement,
            )
            for name, (value, low, high) in zip(self.scores, found[["value", "low", "high"]].to_numpy(), strict=True)
        ]
