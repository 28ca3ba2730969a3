"""Sets of pairs that vectors learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from yapo.checks import Setting
from yapo.errors import YapoError


@dataclass(frozen=True)
class TrainSet:
    """The pairs that one vector learns from.

    Attributes:
        name: of the vector.
        train, validation: rows of the store.
        seed: decides the order of pairs and directions; the configured one if None.
        multiplier: λ in u = dλv while training; 1 as published.
    """

    name: str
    train: list[int]
    validation: list[int]
    seed: int | None = None
    multiplier: float = 1.0


def train_sets(rows: pd.DataFrame, settings: Sequence[Setting]) -> list[TrainSet]:
    """Return the pairs that train and validate the vector of each setting; "both" is the union of the other two.

    Args:
        rows: describes pair i in row i: variant, split.
        settings: names of the vectors.
    """
    sets = []
    for setting in settings:
        of_setting = rows if setting == "both" else rows[rows["variant"] == setting]
        train, validation = (of_setting.index[of_setting["split"] == split].tolist() for split in ("train", "validation"))
        if not train or not validation:
            raise YapoError(
                f"setting={setting}: {len(train)} training and {len(validation)} validation pairs; each needs at least one"
            )
        sets.append(TrainSet(setting, train, validation))
    return sets


def fewer_facts(part: TrainSet, rows: pd.DataFrame, share: float, seed: int) -> TrainSet:
    """Return the same set with the training pairs of a share of its facts, one fact at least.

    The seed puts the facts in an order of which a share is the beginning: the facts of a smaller share are among those of a
    larger one.

    Args:
        rows: describes pair i in row i: question_id.
        share: above 0, up to 1.
        seed: used where the set has none of its own.
    """
    if share == 1:
        return part
    facts = sorted(set(rows.loc[part.train, "question_id"]))
    order = np.random.default_rng([seed if part.seed is None else part.seed, 3]).permutation(len(facts))
    kept = {facts[i] for i in order[: max(1, round(share * len(facts)))]}
    return replace(part, train=[i for i in part.train if rows.loc[i, "question_id"] in kept])
