"""SAS against a loop written from its definition."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.contrast import Contrast, contrast_states
from yapo.steering.methods.sas import sas_vector

from .inputs import NO_MODELS, SETS, fit, make_inputs


def plain_sas(positive: list[list[float]], negative: list[list[float]], tau: float) -> list[float]:
    """One feature at a time: mean of its non-zero values on a side where it fires often enough, unless both sides do."""
    vector = []
    for feature in range(len(positive[0])):
        sides = []
        for codes in (positive, negative):
            fired = [row[feature] for row in codes if row[feature] > 0]
            frequent = len(fired) / len(codes) >= tau
            sides.append(sum(fired) / len(fired) if fired and frequent else 0.0)
        plus, minus = sides
        vector.append(0.0 if plus and minus else plus - minus)
    return vector


@st.composite
def codes(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    width = draw(st.integers(1, 5))
    value = st.one_of(st.just(0.0), st.integers(1, 40).map(lambda k: k / 8))
    rows = st.lists(st.lists(value, min_size=width, max_size=width), min_size=1, max_size=8)
    return torch.tensor(draw(rows)), torch.tensor(draw(rows))


@settings(max_examples=150, deadline=None)
@given(sides=codes(), tau=st.sampled_from([0.125, 0.25, 0.5, 0.75, 1.0]))
def test_equals_the_definition(sides: tuple[Tensor, Tensor], tau: float) -> None:
    positive, negative = sides
    expected = torch.tensor(plain_sas(positive.tolist(), negative.tolist(), tau))
    torch.testing.assert_close(sas_vector(positive, negative, tau), expected)


def test_by_hand() -> None:
    """Features: frequent on the left, frequent on the right, on both, on neither, never."""
    positive = torch.tensor([[2.0, 0.0, 1.0, 5.0, 0.0], [4.0, 0.0, 1.0, 0.0, 0.0], [0.0, 9.0, 1.0, 0.0, 0.0]])
    negative = torch.tensor([[0.0, 1.0, 7.0, 0.0, 0.0], [0.0, 2.0, 7.0, 0.0, 0.0], [8.0, 0.0, 7.0, 3.0, 0.0]])
    assert sas_vector(positive, negative, tau=0.6).tolist() == [3.0, -1.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("contrast", ["answer", "prompt"])
def test_fit_is_the_vector_of_the_codes(lm: LanguageModel, sae: SAE, tmp_path: Path, contrast: Contrast) -> None:
    settings = {"contrast": contrast, "tau": 0.7, "threshold": "relu"}
    inputs, _ = make_inputs(lm, sae, tmp_path, "sas", options=settings, models=NO_MODELS)
    vectors = fit(inputs)
    for part in SETS:
        positive, negative = contrast_states(inputs, part, contrast)
        expected = plain_sas(sae.encode(positive).tolist(), sae.encode(negative).tolist(), 0.7)
        torch.testing.assert_close(vectors[part.name], torch.tensor([expected]))
        assert vectors[part.name].shape == (1, 64)
    assert any(vector.any() for vector in vectors.values())


@pytest.mark.parametrize("tau", [0.0, -0.1, 1.5, "much", True])
def test_impossible_thresholds_are_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path, tau: object) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "sas", options={"contrast": "prompt", "tau": tau})
    with pytest.raises(YapoError, match=rf"method.options.tau={tau!r}: (a share|must be a number)"):
        fit(inputs)
