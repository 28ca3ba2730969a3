"""YaPO is the trainer with a sparse vector."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Sparse
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.trainer import Trainer

from .inputs import LAYER, SETS, TRAIN, fit, make_inputs


def test_fit_equals_the_trainer(lm: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, log = make_inputs(lm, sae, tmp_path, "yapo")
    vectors = fit(inputs)
    rows: list[LogRow] = []
    expected = Trainer(lm, LAYER, Sparse(sae), inputs.store, TRAIN).train(SETS, rows.append)
    assert {name: vector.shape for name, vector in vectors.items()} == {part.name: (2, 64) for part in SETS}
    assert all(torch.equal(vectors[part.name], expected[part.name]) for part in SETS)
    assert all(vector.any() for vector in vectors.values())
    assert log == rows


def test_features_that_never_fire_in_training_stay_zero(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    sae = replace(sae, threshold=torch.full((64,), 4.0))  # about a third of the features fire somewhere
    inputs, _ = make_inputs(gemma, sae, tmp_path, "yapo")
    vectors = fit(inputs)
    fired = torch.zeros(64, dtype=torch.bool)
    for i in SETS[0].train:
        fired |= (sae.encode(inputs.store.hidden[i][1:]) > 0).any(dim=0)  # BOS is not steered
    assert 0 < fired.sum() < 64
    assert vectors["localized"][:, fired].any()
    assert not vectors["localized"][:, ~fired].any()


def test_resumes_from_the_checkpoint_it_is_given(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    """Training that was complete is not done again: the blocks above the layer are never run."""
    inputs, log = make_inputs(gemma, sae, tmp_path, "yapo")
    vectors = fit(inputs)
    assert inputs.checkpoint.exists()
    broken = LanguageModel(copy.deepcopy(gemma.model), gemma.tokenizer, gemma.source, gemma.digest)
    del broken.model.model.layers[LAYER + 1 :]
    again, rows = make_inputs(gemma, sae, tmp_path, "yapo", models=replace(inputs.models, language_model=lambda _first: broken))
    assert all(torch.equal(vectors[name], vector) for name, vector in fit(again).items())
    assert rows == log


def test_all_features_learn_what_those_that_fire_do(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    """The theorem behind the restriction: from v = 0, a feature that fires on no token gets no gradient, ever."""
    rare = replace(sae, threshold=torch.full((64,), 4.0))
    some, _ = make_inputs(gemma, rare, tmp_path, "yapo")
    every, _ = make_inputs(gemma, rare, tmp_path, "yapo", options={"features": "all"})
    for name, vector in fit(some).items():
        torch.testing.assert_close(fit(every)[name], vector, rtol=1e-4, atol=1e-5)
        assert torch.equal(vector != 0, fit(every)[name] != 0)


def test_from_a_random_start_silent_features_move_too(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    rare = replace(sae, threshold=torch.full((64,), 4.0))
    some, _ = make_inputs(gemma, rare, tmp_path, "yapo", options={"init": "random"})
    every, _ = make_inputs(gemma, rare, tmp_path, "yapo", options={"init": "random", "features": "all"})
    one, other = fit(some)["both"], fit(every)["both"]
    silent = ~one[-1].bool()
    assert 0 < silent.sum() < 64
    assert other[-1, silent].all()
    assert not torch.allclose(other[0, silent], other[-1, silent], atol=1e-3)  # moved from epoch to epoch


def test_jumprelu_after_the_addition(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "yapo", options={"threshold": "jumprelu"})
    expected = Trainer(gemma, LAYER, Sparse(sae, "jumprelu"), inputs.store, TRAIN).train(SETS, lambda _row: None)
    relu, _ = make_inputs(gemma, sae, tmp_path, "yapo")
    for name, vector in fit(inputs).items():
        assert torch.equal(vector, expected[name])
        assert not torch.allclose(vector, fit(relu)[name], atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": "gelu"}, "method.options.threshold=gelu: choose one of relu, jumprelu"),
        ({"features": "some"}, "method.options.features=some: choose one of fires, all"),
        ({"init": "ones"}, "method.options.init=ones: choose one of zero, random, mean_difference"),
    ],
)
def test_unknown_options(gemma: LanguageModel, sae: SAE, tmp_path: Path, options: dict[str, str], message: str) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "yapo", options=options)
    with pytest.raises(YapoError, match=message):
        fit(inputs)
