"""CorrSteer against a loop written from its equations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.answer_features import FeatureSums, pooled_answer
from yapo.steering.methods.corrsteer import correlation
from yapo.steering.pair_batch import TokenPair

from .inputs import LAYER, NO_MODELS, PAIRS, SETS, fit, make_inputs


def plain_correlations(correct: list[list[float]], wrong: list[list[float]]) -> list[float]:
    """Pearson's r of each feature with correctness by scipy; 0 for a feature that does not vary."""
    y, found = [1.0] * len(correct) + [0.0] * len(wrong), []
    for j in range(len(correct[0])):
        x = [row[j] for row in correct + wrong]
        found.append(float(pearsonr(x, y).statistic) if len(set(x)) > 1 else 0.0)
    return found


def sums(rows: Tensor) -> FeatureSums:
    rows = rows.double()
    return FeatureSums(len(rows), (rows > 0).sum(dim=0).double(), rows.sum(dim=0), rows.square().sum(dim=0))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), width=st.integers(1, 4))
def test_correlation_is_pearson(data: st.DataObject, width: int) -> None:
    value = st.integers(0, 9).map(lambda k: k / 7)
    rows = st.lists(st.lists(value, min_size=width, max_size=width), min_size=1, max_size=6)
    correct, wrong = data.draw(rows), data.draw(rows)
    found = correlation(sums(torch.tensor(correct)), sums(torch.tensor(wrong)))
    torch.testing.assert_close(found, torch.tensor(plain_correlations(correct, wrong), dtype=torch.float64), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("features", [1, 3])
def test_vector_is_the_mean_of_the_correct_answers(lm: LanguageModel, sae: SAE, tmp_path: Path, features: int) -> None:
    inputs, _ = make_inputs(lm, sae, tmp_path, "corrsteer", options={"features": features}, models=NO_MODELS)
    vectors = fit(inputs)
    for part in SETS:
        correct, wrong = (
            [pooled_answer(inputs.store, i, side, "max", sae.d_sae).tolist() for i in part.train]
            for side in ("chosen", "rejected")
        )
        r = plain_correlations(correct, wrong)
        best = sorted(range(sae.d_sae), key=lambda j: (-round(r[j], 12), j))[:features]
        expected = [sum(row[j] for row in correct) / len(correct) if j in best and r[j] > 0 else 0.0 for j in range(sae.d_sae)]
        torch.testing.assert_close(vectors[part.name], torch.tensor([expected]))
        assert 0 < len(vectors[part.name].nonzero()) <= features


def test_answers_alike_are_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    """Refuse pairs of empty answers: both are the end of the turn alone."""
    inputs, _ = make_inputs(gemma, sae, tmp_path, "corrsteer")
    pairs = [TokenPair(pair.prompt, [5], [5]) for pair in PAIRS]
    inputs = replace(inputs, store=build_store(gemma, LAYER, sae, pairs, batch_size=4))
    with pytest.raises(
        YapoError, match=r"^method=corrsteer: localized: no feature goes with correct answers; take another layer$"
    ):
        fit(inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 0}, "features=0: at least 1"),
        ({"features": 1.5}, "features=1.5: must be a whole number"),
        ({"pool": "median"}, "pool=median: choose one of max, mean"),
    ],
)
def test_bad_options(gemma: LanguageModel, sae: SAE, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "corrsteer", options=options)
    with pytest.raises(YapoError, match=rf"^method\.options\.{message}"):
        fit(inputs)
