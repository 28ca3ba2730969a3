"""The SFT vector: its loss and gradient against whole sequences, and its training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from tests.steering.training.test_trainer import plain_log_prob
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense
from yapo.steering.methods.sft import LanguageModelLoss
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.trainer import Trainer

from .inputs import LAYER, PAIRS, SETS, TRAIN, fit, make_inputs


def test_loss_and_gradient_equal_the_equation(lm: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = make_inputs(lm, sae, tmp_path, "sft")
    trainer = Trainer(lm, LAYER, Dense(lm.d_model), inputs.store, TRAIN)
    v = 0.3 * torch.randn(lm.d_model, generator=torch.Generator().manual_seed(0))
    fast_v, plain_v = v.clone().requires_grad_(), v.clone().requires_grad_()
    done = trainer._steered(list(range(len(PAIRS))), fast_v[None], torch.zeros(len(PAIRS), dtype=torch.long))
    fast = LanguageModelLoss()(done.log_probs, torch.ones(len(PAIRS)))
    plain = torch.stack([-plain_log_prob(lm, None, p.prompt, p.chosen, plain_v) / len(p.chosen) for p in PAIRS])
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(losses.sum(), leaf)[0] for losses, leaf in ((fast, fast_v), (plain, plain_v))]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_fit_trains_one_direction(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, log = make_inputs(gemma, sae, tmp_path, "sft")
    vectors = fit(inputs)
    rows: list[LogRow] = []
    schedule = replace(TRAIN, directions="positive")
    trainer = Trainer(gemma, LAYER, Dense(gemma.d_model), inputs.store, schedule, LanguageModelLoss())
    expected = trainer.train(SETS, rows.append)
    assert all(torch.equal(vectors[part.name], expected[part.name]) and vectors[part.name].any() for part in SETS)
    assert log == rows
    assert {row["d"] for row in log if row["kind"] == "step"} == {1}


def test_training_makes_preferred_answers_likelier(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    train = replace(TRAIN, epochs=20, lr=0.1)
    inputs, _ = make_inputs(gemma, sae, tmp_path, "sft", sets=SETS[2:], train=train)
    v = fit(inputs)["both"][-1]
    before, after = (
        [float(plain_log_prob(gemma, None, PAIRS[i].prompt, PAIRS[i].chosen, edit)) for i in SETS[2].train] for edit in (None, v)
    )
    assert sum(after) > sum(before)
