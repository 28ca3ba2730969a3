"""Divergence of steered models against whole sequences, and the search for a multiplier against a fine grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.evaluation.plain_decoding import steered_logits
from tests.evaluation.test_likelihood import LAYER, every_kind
from yapo.evaluation.decoding import Condition
from yapo.evaluation.divergence import GRID, LARGEST, SMALLEST, TOLERANCE, Match, match_divergence, percentile, token_divergences
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.pair_batch import TokenOptions

TEXTS = [
    TokenOptions([2, 9, 11, 30, 7, 12, 40, 41, 8], ([15, 16, 18, 19],)),
    TokenOptions([2, 9, 8], ([21, 22],)),
    TokenOptions([2], ([32, 33, 34, 35, 36, 37],)),
]


def plain(lm: LanguageModel, text: TokenOptions, condition: Condition, layer: int = LAYER) -> Tensor:
    """Return KL(steered ‖ unsteered) at every token of the answer, from two whole sequences."""
    (answer,) = text.answers
    p, q = (
        steered_logits(lm, layer, text.prompt, answer[:-1], one)[len(text.prompt) - 1 :].double().log_softmax(dim=-1)
        for one in (condition, Condition())
    )
    return (p.exp() * (p - q)).sum(dim=-1)


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_every_kind_of_condition_equals_whole_sequences(gemma: LanguageModel, any_sae: SAE, rows: int) -> None:
    conditions = every_kind(any_sae)
    found = token_divergences(gemma, LAYER, TEXTS, conditions, rows)
    assert len(found) == len(conditions)
    for mine, condition in zip(found, conditions, strict=True):
        expected = torch.cat([plain(gemma, text, condition) for text in TEXTS])
        assert mine.tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-5)
    assert max(float(part.max()) for part in found) > 0.1


def test_every_architecture_equals_whole_sequences(lm: LanguageModel, sae: SAE) -> None:
    condition = every_kind(sae)[1]
    (found,) = token_divergences(lm, LAYER, TEXTS, [condition], 2)
    expected = torch.cat([plain(lm, text, condition) for text in TEXTS])
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-5)


def test_the_unsteered_model_does_not_differ_from_itself(gemma: LanguageModel) -> None:
    (found,) = token_divergences(gemma, LAYER, TEXTS, [Condition()], 64)
    assert found.shape == (12,)
    assert float(found.max()) < 1e-6
    assert token_divergences(gemma, LAYER, TEXTS, [], 64) == []


def test_the_percentile_is_numpys() -> None:
    values = torch.rand(37, generator=torch.Generator().manual_seed(0))
    assert percentile(values) == pytest.approx(float(np.quantile(values.double().numpy(), 0.95)))


def measured(curves: Sequence[Callable[[float], float]], asked: list[tuple[int, float]]) -> Callable[..., list[float]]:
    def measure(points: Sequence[tuple[int, float]]) -> list[float]:
        asked.extend(points)
        return [curves[i](multiplier) for i, multiplier in points]

    return measure


@given(st.floats(1e-3, 30), st.floats(0.5, 4), st.sampled_from([0.1, 1.0, 3.0]))
def test_a_growing_percentile_is_met_where_a_fine_grid_meets_it(scale: float, power: float, level: float) -> None:
    def curve(multiplier: float) -> float:
        return float(10 * (1 - math.exp(-scale * multiplier**power)))  # at most 10 nats

    grid = np.geomspace(SMALLEST, LARGEST, 200_001)
    values = 10 * -np.expm1(-scale * grid**power)
    (found,) = match_divergence(level, 1, measured([curve], asked := []))
    if values[-1] < level * (1 - TOLERANCE) or values[0] > level:
        assert values[-1] >= level * (1 - TOLERANCE) or found.multiplier is None
        return
    assert found.multiplier is not None
    assert found.divergence == pytest.approx(level, rel=TOLERANCE)
    assert found.monotone
    close = grid[np.abs(values / level - 1) <= TOLERANCE * 1.001]
    assert close.min() * 0.999 <= found.multiplier <= close.max() * 1.001
    assert len(asked) < 40


def test_vectors_are_searched_side_by_side() -> None:
    curves = [lambda m: m**2, lambda m: 1e-4 * m**2, lambda m: 4 * m]
    found = match_divergence(1.0, 3, measured(curves, asked := []))
    assert [one.multiplier for one in found] == pytest.approx([1.0, 100.0, 0.25], rel=0.02)
    assert asked[: len(GRID)] == [(0, multiplier) for multiplier in GRID]
    assert [i for i, _ in asked].count(0) == len(GRID)
    assert match_divergence(1.0, 0, measured([], [])) == []


def test_a_level_that_no_multiplier_reaches() -> None:
    assert match_divergence(1.0, 1, measured([lambda m: 0.3 * m / (1 + m)], [])) == [
        Match(None, pytest.approx(0.3 * LARGEST / (1 + LARGEST)), True)
    ]
    assert match_divergence(1.0, 1, measured([lambda _: 0.0], [])) == [Match(None, 0.0, True)]


def test_a_percentile_that_jumps_over_the_level_gives_the_multiplier_just_below() -> None:
    (found,) = match_divergence(1.0, 1, measured([lambda m: 0.2 if m < 3 else 5.0], []))
    assert found.divergence == 0.2
    assert found.multiplier == pytest.approx(3.0, rel=2e-3)
    assert found.multiplier < 3


def test_a_percentile_that_falls_is_told() -> None:
    """It crosses the level three times, and the first crossing counts."""

    def curve(multiplier: float) -> float:
        return multiplier if multiplier < 6 else 0.01 * multiplier

    (found,) = match_divergence(1.2, 1, measured([curve], []))
    assert not found.monotone
    assert found.multiplier == pytest.approx(1.2, rel=TOLERANCE)
