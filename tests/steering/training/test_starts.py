"""Starts of trained vectors, and the share of facts that they see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.methods.caa import CAA
from yapo.steering.training.starts import MEAN_DIFFERENCE, starting_vectors

from ..methods.inputs import SETS, TRAIN, conf_options, fit, make_inputs

STILL = replace(TRAIN, lr=1e-9)


@pytest.mark.parametrize(("name", "closed_form"), [("bipo", "caa"), ("yapo", "sas")])
def test_start_from_the_mean_difference_of_the_same_space(
    gemma: LanguageModel, sae: SAE, tmp_path: Path, name: str, closed_form: str
) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, name, options={"init": "mean_difference"}, train=STILL)
    vectors = fit(inputs)
    expected = fit(make_inputs(gemma, sae, tmp_path, closed_form)[0])
    for part in SETS:
        torch.testing.assert_close(vectors[part.name][-1], expected[part.name][-1], atol=1e-6, rtol=1e-5)
        assert expected[part.name].any()


def test_a_random_start_is_one_step_long_and_drawn_by_the_seed(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    sets = [replace(part, seed=seed) for seed, part in enumerate(SETS)]
    inputs, _ = make_inputs(gemma, sae, tmp_path, "bipo")
    starts = starting_vectors(inputs, sets, 10_000, "random", CAA(), {})
    assert starts is not None
    assert all(float(start.std()) == pytest.approx(TRAIN.lr, rel=0.05) for start in starts.values())
    assert not torch.equal(starts["localized"], starts["both"])
    again = starting_vectors(inputs, [replace(part, seed=None) for part in SETS], 10_000, "random", CAA(), {})
    assert again is not None
    assert torch.equal(again["both"], starts["localized"])  # the configured seed is 0


def test_zero_is_the_default(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    assert starting_vectors(make_inputs(gemma, sae, tmp_path, "bipo")[0], SETS, 32, "zero", CAA(), {}) is None
    assert conf_options("bipo")["init"] == conf_options("yapo")["init"] == "zero"


def test_the_contrast_is_that_of_the_closed_form_methods_themselves() -> None:
    assert conf_options("caa")["contrast"] == conf_options("sas")["contrast"] == MEAN_DIFFERENCE
