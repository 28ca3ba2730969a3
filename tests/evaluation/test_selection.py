"""Choosing epoch and multiplier, on grids made by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from yapo.config import SelectionConfig
from yapo.errors import YapoError
from yapo.evaluation.selection import Bound, Key, Trial, choose, given_up

KEY: Key = ("yapo", "mcq", "both")
OTHER: Key = ("caa", "open_ended", "localized")
NAN = float("nan")


class Grid:
    """Scores by (key, epoch, multiplier), and a record of what was measured."""

    def __init__(self, scores: dict[tuple[Key, int, float], float]) -> None:
        self.scores, self.asked = scores, list[list[Trial]]()

    def __call__(self, trials: list[Trial]) -> pd.DataFrame:
        self.asked.append(trials)
        return pd.DataFrame([{"score": self.scores[t.key, t.epoch, t.multiplier], "n": 4} for t in trials])


def grid(key: Key, epochs: dict[int, float], multipliers: dict[float, dict[int, float]]) -> dict[tuple[Key, int, float], float]:
    """Scores of every epoch at multiplier 1, and of the other multipliers at some epochs."""
    at_one = {(key, epoch, 1.0): score for epoch, score in epochs.items()}
    return at_one | {(key, epoch, m): score for m, own in multipliers.items() for epoch, score in own.items()}


@pytest.mark.parametrize(
    ("epochs", "multipliers", "expected"),
    [
        ({1: 0.2, 2: 0.6, 3: 0.5}, {0.5: {2: 0.4}, 2.0: {2: 0.7}}, (2, 2.0)),
        ({1: 0.2, 2: 0.6, 3: 0.5}, {0.5: {2: 0.4}, 2.0: {2: 0.3}}, (2, 1.0)),
        ({1: 0.6, 2: 0.6, 3: 0.6}, {0.5: {1: 0.6}, 2.0: {1: 0.6}}, (1, 0.5)),  # ties: the earliest, the weakest
        ({1: 0.5, 2: 0.6, 3: 0.6}, {0.5: {2: 0.5}, 2.0: {2: 0.6}}, (2, 1.0)),
        ({1: 0.5}, {-1.0: {1: 0.9}, 0.0: {1: 0.8}, 2.0: {1: 0.4}}, (1, 1.0)),  # only positive multipliers can win
        ({1: 0.0}, {-1.0: {1: 0.9}, 0.5: {1: 0.0}}, (1, 0.5)),
        ({1: NAN, 2: 0.1}, {2.0: {2: NAN}}, (2, 1.0)),  # unscored is never best
    ],
)
def test_hand_made_grids(
    epochs: dict[int, float], multipliers: dict[float, dict[int, float]], expected: tuple[int, float]
) -> None:
    values = [*multipliers, 1.0]
    for order in (values, values[::-1]):
        chosen, rows = choose({KEY: len(epochs)}, order, Grid(grid(KEY, epochs, multipliers)))
        assert chosen == {KEY: Trial(KEY, *expected)}
        assert rows.loc[rows["selected"], ["epoch", "multiplier"]].to_numpy().tolist() == [list(expected)]


def test_every_epoch_at_one_then_every_multiplier_at_the_best() -> None:
    measure = Grid(grid(KEY, {1: 0.1, 2: 0.3}, {-1.0: {2: 0.0}, 0.5: {2: 0.2}, 2.0: {2: 0.4}}))
    chosen, rows = choose({KEY: 2}, [-1.0, 0.5, 1.0, 2.0], measure)
    assert measure.asked[0] == [Trial(KEY, 1, 1.0), Trial(KEY, 2, 1.0)]
    assert measure.asked[1] == [Trial(KEY, 2, m) for m in (-1.0, 0.5, 2.0)]
    assert len(measure.asked) == 2
    assert rows[["epoch", "multiplier", "score"]].to_numpy().tolist() == [
        [1, 1.0, 0.1],
        [2, 1.0, 0.3],
        [2, -1.0, 0.0],
        [2, 0.5, 0.2],
        [2, 2.0, 0.4],
    ]
    assert set(rows["method"]) == {"yapo"}
    assert chosen[KEY].multiplier == 2.0


def test_vectors_are_chosen_one_by_one() -> None:
    scores = grid(KEY, {1: 0.1, 2: 0.3}, {0.5: {2: 0.9}}) | grid(OTHER, {1: 7.5}, {0.5: {1: 2.5}})
    chosen, rows = choose({KEY: 2, OTHER: 1}, [0.5, 1.0], Grid(scores))
    assert chosen == {KEY: Trial(KEY, 2, 0.5), OTHER: Trial(OTHER, 1, 1.0)}
    assert rows.groupby(["method", "task", "setting"])["selected"].sum().tolist() == [1, 1]
    assert len(rows) == 5


def test_a_bound_rules_multipliers_out_and_tells_what_it_costs() -> None:
    """The divergence is twice the multiplier, of the other vector a tenth of it."""
    scores = grid(KEY, {1: 0.1, 2: 0.3}, {-1.0: {2: 0.9}, 0.5: {2: 0.2}, 2.0: {2: 0.8}})
    scores |= grid(OTHER, {1: 7.5}, {-1.0: {1: 0.0}, 0.5: {1: 2.5}, 2.0: {1: 8.5}})
    asked: list[Trial] = []

    def divergences(trials: list[Trial]) -> list[float]:
        asked.extend(trials)
        return [trial.multiplier * (2.0 if trial.key == KEY else 0.1) for trial in trials]

    made = choose({KEY: 2, OTHER: 1}, [-1.0, 0.5, 1.0, 2.0], Grid(scores), Bound(2.0, divergences))
    chosen, rows = made
    assert chosen == {KEY: Trial(KEY, 2, 1.0), OTHER: Trial(OTHER, 1, 2.0)}  # 2 nats are within
    assert {(t.key, t.epoch) for t in asked} == {(KEY, 2), (OTHER, 1)} and {t.multiplier for t in asked} == {0.5, 1.0, 2.0}
    own = rows[rows["method"] == "yapo"].set_index(["epoch", "multiplier"])
    assert own["divergence"].dropna().to_dict() == {(2, 1.0): 2.0, (2, 0.5): 1.0, (2, 2.0): 4.0}
    assert own.index[own["selected_unbounded"]].tolist() == [(2, 2.0)]
    assert own.index[own["selected"]].tolist() == [(2, 1.0)]
    lost = given_up(rows.assign(language="Arabic", country="egypt")).set_index("method")["given_up"]
    assert lost.to_dict() == pytest.approx({"yapo": 0.5, "caa": 0.0})
    with pytest.raises(
        YapoError, match=r"selection.max_kl=0.5: .* yapo mcq both .* smallest divergence is 1 nats, at 0.5; raise"
    ):
        choose({KEY: 2, OTHER: 1}, [-1.0, 0.5, 1.0, 2.0], Grid(scores), Bound(0.5, divergences))


def test_a_bound_on_nothing_that_is_a_number_is_refused() -> None:
    scores = grid(KEY, {1: 0.1}, {})
    with pytest.raises(YapoError, match="smallest divergence is inf nats"):
        choose({KEY: 1}, [1.0], Grid(scores), Bound(1.0, lambda trials: [float("inf")] * len(trials)))


def test_a_grid_of_one_multiplier(tmp_path: Path) -> None:
    chosen, rows = choose({KEY: 2}, [1.0], Grid(grid(KEY, {1: 0.1, 2: 0.3}, {})))
    assert chosen == {KEY: Trial(KEY, 2, 1.0)}
    assert rows["selected"].tolist() == [False, True]
    rows.to_parquet(tmp_path / "rows.parquet")
    stored = pd.read_parquet(tmp_path / "rows.parquet")
    assert (stored["epoch"].dtype, stored["multiplier"].dtype) == (int, float)


def test_a_grid_without_one_is_refused() -> None:
    with pytest.raises(YapoError, match=r"selection.multipliers=.*must contain 1.0"):
        SelectionConfig(multipliers=[0.5, 2.0])
