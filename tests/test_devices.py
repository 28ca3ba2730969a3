"""Fit every method and apply every edit on a second device; the results equal those of the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from tests.conftest import random_sae, tiny_model
from tests.discovery.test_patching import PROBES
from tests.evaluation.test_decoding import PROMPTS
from tests.evaluation.test_divergence import TEXTS
from tests.evaluation.test_likelihood import QUESTIONS, every_kind
from tests.pretended_device import DEVICE
from tests.steering.methods.inputs import LAYER, TRAIN, make_inputs, with_others
from tests.steering.methods.test_dspa import OPTIONS
from yapo.config.steering import Engine
from yapo.discovery.patching import patch_all_layers
from yapo.evaluation.decoding import Condition, Decoder, Sampling
from yapo.evaluation.displacement import Residual, random_control
from yapo.evaluation.divergence import token_divergences
from yapo.evaluation.likelihood import answer_log_probs
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.method import Models
from yapo.steering.methods import get_method, method_names

FITTED = [name for name in method_names() if name != "imported"]  # that one is read from a file
TRAINED = [(name, "laid out") for name in FITTED if get_method(name).learns]


@pytest.fixture(scope="module")
def places(gemma: LanguageModel) -> list[tuple[LanguageModel, SAE]]:
    """The same model and autoencoder on the CPU and on the device."""
    moved = tiny_model("gemma2", len(gemma.tokenizer.tokenizer))
    moved.to(DEVICE)
    there = LanguageModel(moved, gemma.tokenizer, gemma.source, gemma.digest)
    return [(gemma, random_sae("jumprelu")), (there, random_sae("jumprelu").to(DEVICE))]


def test_a_mix_is_refused() -> None:
    there, here = torch.ones(2, 3).to(DEVICE), torch.ones(2, 3)
    mixes: list[Callable[[], Tensor]] = [
        lambda: there + here,
        lambda: torch.cat([there, here]),
        lambda: here[there[:, 0].long()],
        lambda: there @ here.T,
    ]
    for mixed in mixes:
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    assert (there * torch.tensor(2.0))[torch.tensor([0])].cpu().tolist() == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize(("name", "engine"), [*((name, "plain") for name in FITTED), *TRAINED])
def test_methods(places: list[tuple[LanguageModel, SAE]], tmp_path: Path, name: str, engine: Engine) -> None:
    found = []
    for lm, sae in places:
        folder = tmp_path / lm.device.type
        folder.mkdir()
        inputs, log = make_inputs(lm, sae, folder, name, OPTIONS if name == "dspa" else None, train=replace(TRAIN, engine=engine))
        inputs = replace(
            inputs, models=Models(inputs.models.language_model, dict.fromkeys(range(lm.n_layers), sae).__getitem__, -1e9)
        )
        if name == "cue":
            inputs = with_others(inputs, lm, sae)
        found.append((get_method(name).fit(inputs), log))
    (here, logged), (there, logged_there) = found
    for set_name, vector in here.items():
        torch.testing.assert_close(there[set_name].epochs, vector.epochs, rtol=1e-4, atol=1e-5)
    assert [row.keys() for row in logged_there] == [row.keys() for row in logged]


def conditions(lm: LanguageModel, sae: SAE) -> list[Condition]:
    """Every kind of edit, with a random direction of equal size."""
    kinds = [replace(c, intervention=c.intervention and c.intervention.to(lm.device)) for c in every_kind(sae)]
    sizes = [Residual.of(lm, LAYER, PROMPTS[:2]).displacement(kind) for kind in kinds]
    return [*kinds, random_control(sizes, lm.d_model, 0)]


COMPUTED: dict[str, Callable[[LanguageModel, SAE], Any]] = {
    "greedy": lambda lm, sae: Decoder(lm, 8).complete(LAYER, PROMPTS[:2], conditions(lm, sae), 3),
    "sampled": lambda lm, sae: Decoder(lm, 8).complete(LAYER, PROMPTS[:2], conditions(lm, sae), 3, Sampling(0.8, 5)),
    "likelihood": lambda lm, sae: answer_log_probs(lm, LAYER, QUESTIONS, conditions(lm, sae), 4),
    "divergence": lambda lm, sae: [part.tolist() for part in token_divergences(lm, LAYER, TEXTS, conditions(lm, sae), 4)],
    "patching": lambda lm, _: patch_all_layers(lm, PROBES, 2).tolist(),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_evaluation(places: list[tuple[LanguageModel, SAE]], name: str) -> None:
    here, there = (COMPUTED[name](lm, sae) for lm, sae in places)
    leaves, shape = tree_flatten(here)
    found, found_shape = tree_flatten(there)
    assert found_shape == shape
    assert found == pytest.approx(leaves, rel=1e-3, abs=1e-5)
