"""The probe: its loss has no slope where it ends, and its direction is that of the states it tells apart."""

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
from yapo.steering.directions import along_separation
from yapo.steering.methods.probe import logistic_direction

from .inputs import NO_MODELS, SETS, fit, make_inputs


def plain(positive: Tensor, negative: Tensor, decay: float) -> Tensor:
    """w by gradient descent on the loss as written, over all entries."""
    states = torch.cat([positive, negative]).double()
    states = states - states.mean(dim=0)
    states = states / states.square().mean().sqrt()
    y = torch.tensor([1.0] * len(positive) + [-1.0] * len(negative)).double()
    w, b = torch.zeros(states.shape[1]).double().requires_grad_(), torch.zeros(()).double().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [w, b], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.log1p(torch.exp(-y * (states @ w + b))).mean() + decay / 2 * w.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return w.detach().float()


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 9), m=st.integers(1, 9), d=st.integers(1, 6), seed=st.integers(0, 99), decay=st.sampled_from([1e-3, 0.1]))
def test_the_minimum_of_the_loss(n: int, m: int, d: int, seed: int, decay: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    positive, negative = torch.randn(n, d, generator=generator) + 1.0, torch.randn(m, d, generator=generator)
    torch.testing.assert_close(
        logistic_direction(positive, negative, decay), plain(positive, negative, decay), rtol=1e-3, atol=1e-4
    )


def test_direction_of_the_probe(lm: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = make_inputs(lm, sae, tmp_path, "probe", models=NO_MODELS)
    vectors = fit(inputs)
    positive, negative = contrast_states(inputs, SETS[0], "prompt")
    w = plain(positive, negative, 1e-2)
    apart = float((positive.mean(dim=0) - negative.mean(dim=0)) @ w / w.norm())
    for part in SETS:
        torch.testing.assert_close(vectors[part.name][0], apart * w / w.norm(), rtol=1e-2, atol=1e-3)


def test_equal_sides_are_refused() -> None:
    same = torch.ones(3, 4)
    with pytest.raises(YapoError, match="the states of both sides are equal"):
        along_separation(logistic_direction(same, same, 0.1), same, same)


@pytest.mark.parametrize(
    ("decay", "message"),
    [(0.0, "decay=0.0: above 0"), (float("inf"), "decay=inf: above 0"), ("x", "decay='x': must be a number")],
)
def test_bad_decay(gemma: LanguageModel, sae: SAE, tmp_path: Path, decay: Any, message: str) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "probe", options={"contrast": "prompt", "decay": decay})
    with pytest.raises(YapoError, match=message):
        fit(inputs)
