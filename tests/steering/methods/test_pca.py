"""PCA against a singular value decomposition and, for centred pairs, against the differences of the pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.contrast import contrast_states
from yapo.steering.directions import along_separation, first_component
from yapo.steering.methods.pca import centered

from .inputs import NO_MODELS, SETS, fit, make_inputs


def expected_vector(positive: Tensor, negative: Tensor, rows: Tensor) -> Tensor:
    """The first right singular vector of some rows, as long as the means lie apart along it, in the sign of the positive side."""
    unit = torch.linalg.svd(rows)[2][0]
    apart = sum(float(p @ unit) for p in positive) / len(positive) - sum(float(n @ unit) for n in negative) / len(negative)
    return apart * unit


@pytest.mark.parametrize("center", ["pairs", "all"])
def test_component_of_the_states(lm: LanguageModel, sae: SAE, tmp_path: Path, center: str) -> None:
    options: dict[str, Any] = {"contrast": "prompt", "center": center}
    inputs, _ = make_inputs(lm, sae, tmp_path, "pca", options=options, models=NO_MODELS)
    vectors = fit(inputs)
    positive, negative = contrast_states(inputs, SETS[2], "prompt")
    both = torch.cat([positive, negative])
    rows = positive - negative if center == "pairs" else both - both.mean(dim=0)
    for part in SETS:
        torch.testing.assert_close(vectors[part.name][0], expected_vector(positive, negative, rows), rtol=1e-3, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 12), d=st.integers(2, 12), seed=st.integers(0, 99))
def test_first_component_is_that_of_a_decomposition(n: int, d: int, seed: int) -> None:
    rows = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    found = first_component(rows)
    sizes = torch.linalg.svdvals(rows)
    assert float(found.norm()) == pytest.approx(1.0, abs=1e-5)
    assert float((rows @ found).norm()) == pytest.approx(float(sizes[0]), rel=1e-4)


def test_pairs_are_centred_each_alone() -> None:
    positive, negative = torch.tensor([[1.0, 4.0], [9.0, 0.0]]), torch.tensor([[3.0, 0.0], [7.0, 2.0]])
    assert centered(positive, negative, "pairs").tolist() == [[-1, 2], [1, -1], [1, -2], [-1, 1]]
    assert centered(positive, negative, "all").tolist() == [[-4, 2.5], [4, -1.5], [-2, -1.5], [2, 0.5]]


def test_length_and_sign_are_those_of_the_separation() -> None:
    positive, negative = torch.tensor([[5.0, 1.0], [7.0, 3.0]]), torch.tensor([[1.0, 9.0]])
    assert along_separation(torch.tensor([-0.1, 0.0]), positive, negative).tolist() == [5.0, 0.0]
    with pytest.raises(YapoError, match="the states of both sides are equal"):
        along_separation(torch.zeros(2), positive, positive)
