"""Choose each vector's epoch and multiplier on validation: the same grid for every method, test untouched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from yapo.checks import Setting, Task
from yapo.errors import YapoError

# (method, task, setting)
Key = tuple[str, Task, Setting]


@dataclass(frozen=True)
class Trial:
    """One point of the grid of one vector."""

    key: Key
    epoch: int
    multiplier: float


def choose(
    epoch_counts: dict[Key, int], multipliers: Sequence[float], measure: Callable[[list[Trial]], pd.DataFrame]
) -> tuple[dict[Key, Trial], pd.DataFrame]:
    """Choose the best epoch at multiplier 1, then the best positive multiplier at that epoch; ties go to the smaller.

    Args:
        epoch_counts: how many epochs each vector has.
        multipliers: the grid of λ; contains 1.
        measure: scores trials on validation, one row per trial with a column ``score``.

    Returns:
        The chosen trial of each vector, and all rows measured with a column ``selected``.
    """
    first = [Trial(key, epoch, 1.0) for key, count in epoch_counts.items() for epoch in range(1, count + 1)]
    by_epoch = _measured(first, measure)
    best_epoch = {key: int(_best(by_epoch, key, "epoch")["epoch"]) for key in epoch_counts}
    second = [Trial(key, epoch, m) for key, epoch in best_epoch.items() for m in multipliers if m != 1.0]
    rows = pd.concat([by_epoch, _measured(second, measure)], ignore_index=True) if second else by_epoch
    chosen = {}
    for key, epoch in best_epoch.items():
        candidates = rows[(rows["epoch"] == epoch) & (rows["multiplier"] > 0)]
        chosen[key] = Trial(key, epoch, float(_best(candidates, key, "multiplier")["multiplier"]))
    columns = [rows[name] for name in ("method", "task", "setting", "epoch", "multiplier")]
    trials = [Trial((m, t, s), e, x) for m, t, s, e, x in zip(*columns, strict=True)]
    return chosen, rows.assign(selected=[chosen[trial.key] == trial for trial in trials])


def _measured(trials: list[Trial], measure: Callable[[list[Trial]], pd.DataFrame]) -> pd.DataFrame:
    return measure(trials).assign(
        method=[trial.key[0] for trial in trials],
        task=[trial.key[1] for trial in trials],
        setting=[trial.key[2] for trial in trials],
        epoch=[trial.epoch for trial in trials],
        multiplier=[trial.multiplier for trial in trials],
    )


def _best(rows: pd.DataFrame, key: Key, tie: str) -> pd.Series:
    tried = rows[(rows["method"] == key[0]) & (rows["task"] == key[1]) & (rows["setting"] == key[2])]
    if tried["score"].isna().all():
        raise YapoError(
            f"{' '.join(key)}: no validation answer has a score, so nothing can be chosen; see what the judge replied"
        )
    return tried.sort_values(["score", tie], ascending=[False, True], kind="stable").iloc[0]
