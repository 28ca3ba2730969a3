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


@dataclass(frozen=True)
class Bound:
    """``selection.max_kl``: how far from the unsteered model a chosen vector may be.

    Attributes:
        largest: divergence of a trial that may be chosen, at most, in nats.
        measure: returns the divergence of each trial.
    """

    largest: float
    measure: Callable[[list[Trial]], Sequence[float]]


def choose(
    epoch_counts: dict[Key, int],
    multipliers: Sequence[float],
    measure: Callable[[list[Trial]], pd.DataFrame],
    bound: Bound | None = None,
) -> tuple[dict[Key, Trial], pd.DataFrame]:
    """Choose the best epoch at multiplier 1, then the best positive multiplier at that epoch; ties go to the smaller.

    Args:
        epoch_counts: how many epochs each vector has.
        multipliers: the grid of λ; contains 1.
        measure: scores trials on validation, one row per trial with a column ``score``.
        bound: which of the positive multipliers may be chosen; all where there is none.

    Returns:
        The chosen trial of each vector, and all rows measured with a column ``selected``. Under a bound also ``divergence``, in
        nats, of the trials that it admits or rules out (missing of the others), and ``selected_unbounded``: what would be chosen
        without it.

    Raises:
        YapoError: none of a vector's answers has a score, or none of its multipliers keeps to the bound.
    """
    first = [Trial(key, epoch, 1.0) for key, count in epoch_counts.items() for epoch in range(1, count + 1)]
    by_epoch = _measured(first, measure)
    best_epoch = {key: first[_best(by_epoch, key, "epoch")].epoch for key in epoch_counts}
    second = [Trial(key, epoch, m) for key, epoch in best_epoch.items() for m in multipliers if m != 1.0]
    rows = pd.concat([by_epoch, _measured(second, measure)], ignore_index=True) if second else by_epoch
    trials = [*first, *second]
    candidates = rows[[trial.multiplier > 0 and trial.epoch == best_epoch[trial.key] for trial in trials]]
    chosen = {key: trials[_best(candidates, key, "multiplier")] for key in epoch_counts}
    if bound is None:
        return chosen, rows.assign(selected=[chosen[trial.key] == trial for trial in trials])
    rows = rows.assign(selected_unbounded=[chosen[trial.key] == trial for trial in trials])
    rows.loc[candidates.index, "divergence"] = bound.measure([trials[i] for i in candidates.index])
    candidates = rows.loc[candidates.index]
    for key in epoch_counts:
        _check_bound(_of(candidates, key), key, bound.largest)
    within = candidates[candidates["divergence"] <= bound.largest]
    chosen = {key: trials[_best(within, key, "multiplier")] for key in epoch_counts}
    return chosen, rows.assign(selected=[chosen[trial.key] == trial for trial in trials])


def given_up(grid: pd.DataFrame) -> pd.DataFrame:
    """Return what the bound costs each vector: the validation score of the choice without it, less that of the choice.

    Args:
        grid: rows of ``choose`` under a bound, of some countries; rows of no vector, as the unsteered model's, are left out.

    Returns:
        ``language, country, task, setting, method, given_up``, one row a vector.
    """
    keys = ["language", "country", "task", "setting", "method"]
    scores = [grid[grid[name].eq(True)].set_index(keys)["score"] for name in ("selected_unbounded", "selected")]
    return (scores[0] - scores[1].reindex(scores[0].index)).rename("given_up").reset_index()


def _measured(trials: list[Trial], measure: Callable[[list[Trial]], pd.DataFrame]) -> pd.DataFrame:
    return measure(trials).assign(
        method=[trial.key[0] for trial in trials],
        task=[trial.key[1] for trial in trials],
        setting=[trial.key[2] for trial in trials],
        epoch=[trial.epoch for trial in trials],
        multiplier=[trial.multiplier for trial in trials],
    )


def _best(rows: pd.DataFrame, key: Key, tie: str) -> int:
    """Return the place of the vector's best row."""
    tried = _of(rows, key)
    if tried["score"].isna().all():
        raise YapoError(
            f"{' '.join(key)}: no validation answer has a score, so nothing can be chosen; see what the judge replied"
        )
    return int(tried.sort_values(["score", tie], ascending=[False, True], kind="stable").index[0])


def _of(rows: pd.DataFrame, key: Key) -> pd.DataFrame:
    return rows[(rows["method"] == key[0]) & (rows["task"] == key[1]) & (rows["setting"] == key[2])]


def _check_bound(tried: pd.DataFrame, key: Key, largest: float) -> None:
    """Refuse a bound that none of a vector's multipliers keeps to."""
    least = tried.sort_values("divergence", kind="stable").iloc[0]
    if not least["divergence"] <= largest:
        raise YapoError(
            f"selection.max_kl={largest:g}: no multiplier of the vector {' '.join(key)} keeps to it, the smallest divergence is "
            f"{least['divergence']:.3g} nats, at {least['multiplier']:g}; raise the bound, or add smaller ones to "
            "selection.multipliers"
        )
