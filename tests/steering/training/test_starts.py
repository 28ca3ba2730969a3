"""Where vectors start, and how many facts they see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.stages.app import CONF
from yapo.steering.methods import get_method
from yapo.steering.methods.caa import CAA
from yapo.steering.training.starts import MEAN_DIFFERENCE, starting_vectors, training_sets

from ..methods.inputs import SETS, TRAIN, make_inputs

STILL = replace(TRAIN, lr=1e-9)


@pytest.mark.parametrize(("name", "closed_form"), [("bipo", "caa"), ("yapo", "sas")])
def test_start_from_the_mean_difference_of_the_same_space(
    gemma: LanguageModel, sae: SAE, tmp_path: Path, name: str, closed_form: str
) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, options={"init": "mean_difference"}, train=STILL)
    vectors = get_method(name).fit(inputs)
    expected = get_method(closed_form).fit(replace(inputs, options=MEAN_DIFFERENCE))
    for part in SETS:
        torch.testing.assert_close(vectors[part.name][-1], expected[part.name][-1], atol=1e-6, rtol=1e-5)
        assert expected[part.name].any()


def test_a_random_start_is_one_step_long_and_drawn_by_the_seed(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    sets = [replace(part, seed=seed) for seed, part in enumerate(SETS)]
    inputs, _ = make_inputs(gemma, sae, tmp_path, options={"init": "random"})
    starts = starting_vectors(inputs, sets, 10_000, CAA())
    assert starts is not None
    assert all(float(start.std()) == pytest.approx(TRAIN.lr, rel=0.05) for start in starts.values())
    assert not torch.equal(starts["localized"], starts["both"])
    again = starting_vectors(inputs, [replace(part, seed=None) for part in SETS], 10_000, CAA())
    assert again is not None
    assert torch.equal(again["both"], starts["localized"])  # the configured seed is 0


def test_zero_is_the_default(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    assert starting_vectors(make_inputs(gemma, sae, tmp_path)[0], SETS, 32, CAA()) is None
    for name in ("bipo", "yapo"):
        written = yaml.safe_load((CONF / "method" / f"{name}.yaml").read_text(encoding="utf-8"))["options"]
        inputs, _ = make_inputs(gemma, sae, tmp_path)
        chosen, _ = make_inputs(gemma, sae, tmp_path, options=written)
        assert torch.equal(get_method(name).fit(inputs)["both"], get_method(name).fit(chosen)["both"])


def test_the_contrast_is_that_of_the_closed_form_methods_themselves() -> None:
    for name in ("caa", "sas"):
        written = yaml.safe_load((CONF / "method" / f"{name}.yaml").read_text(encoding="utf-8"))["options"]
        shared = written.keys() & MEAN_DIFFERENCE.keys()
        assert shared
        assert {key: written[key] for key in shared} == {key: MEAN_DIFFERENCE[key] for key in shared}


@pytest.mark.parametrize("name", ["bipo", "yapo"])
def test_a_share_of_the_facts(gemma: LanguageModel, sae: SAE, tmp_path: Path, name: str) -> None:
    inputs, log = make_inputs(gemma, sae, tmp_path, train=replace(TRAIN, share=0.5, batch_size=1))
    sets = training_sets(inputs)
    assert [len(part.train) for part in sets] == [1, 1, 2]
    get_method(name).fit(inputs)
    steps = [row["step"] for row in log if row["kind"] == "step" and row["setting"] == "both"]
    assert steps == [1, 2, 3, 4]
