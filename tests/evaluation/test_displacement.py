"""Displacement of the residual stream by a condition, against the library's hidden states, prompt by prompt."""

from __future__ import annotations

import pytest
import torch

from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import Residual, random_control
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Sparse, sparse_edit_plain

LAYER = 1


@pytest.mark.parametrize("steer_bos", [False, True])
def test_mean_norm_of_the_change_over_steered_tokens(gemma: LanguageModel, sae: SAE, steer_bos: bool) -> None:
    prompts = [gemma.tokenizer.prompt(text) for text in ("Tea?", "What do people usually eat for breakfast?")]
    u = 0.5 * torch.randn(64, generator=torch.Generator().manual_seed(1))
    norms = []
    for prompt in prompts:
        with torch.no_grad():
            states = gemma.model(input_ids=torch.tensor([prompt]), output_hidden_states=True).hidden_states[LAYER + 1][0]
        steered = states if steer_bos else states[1:]
        norms += (sparse_edit_plain(sae, steered, u) - steered).norm(dim=-1).tolist()
    residual = Residual.of(gemma, LAYER, prompts)
    assert residual.displacement(Condition(Sparse(sae), u, steer_bos)) == pytest.approx(sum(norms) / len(norms), rel=1e-4)


def test_a_dense_displacement_is_its_norm_and_none_is_0(gemma: LanguageModel) -> None:
    residual = Residual.of(gemma, LAYER, [gemma.tokenizer.prompt("Tea?")])
    u = torch.arange(32, dtype=torch.float32)
    assert residual.displacement(Condition(Dense(32), u)) == pytest.approx(float(u.norm()), rel=1e-5)
    assert residual.displacement(Condition()) == 0.0


def test_the_control_is_as_long_as_the_longest_and_follows_the_seed() -> None:
    control = random_control([1.0, 3.5], 64, seed=1).u
    assert control is not None and control.shape == (64,)
    torch.testing.assert_close(control.norm(), torch.tensor(3.5))
    again, another, none = (random_control(sizes, 64, seed).u for sizes, seed in (([3.5], 1), ([3.5], 2), ([], 1)))
    assert again is not None and another is not None and none is not None
    assert torch.equal(control, again) and not torch.allclose(control, another)
    assert torch.equal(none, torch.zeros(64))
