"""RePS: its loss and gradient against whole sequences, answer by answer, and its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.steering.training.test_trainer import plain_log_prob
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense
from yapo.steering.methods.reps import ReferenceFree
from yapo.steering.pair_batch import TokenPair
from yapo.steering.training.trainer import Trainer

from .inputs import LAYER, PAIRS, SETS, TRAIN, fit, make_inputs

OPTIONS: dict[str, Any] = {"multipliers": [0.5, 2.0], "init": "zero"}


def plain_loss(lm: LanguageModel, pair: TokenPair, v: Tensor, d: int) -> Tensor:
    """The loss as written; at d = -1 the rejected answer is the winning one."""
    won, lost = (pair.chosen, pair.rejected) if d > 0 else (pair.rejected, pair.chosen)
    steered_won, steered_lost = (plain_log_prob(lm, None, pair.prompt, answer, d * v) for answer in (won, lost))
    with torch.no_grad():
        plain_won, plain_lost = (plain_log_prob(lm, None, pair.prompt, answer, None) for answer in (won, lost))
    weight = max(float(plain_lost - plain_won), 1.0)
    return -torch.nn.functional.logsigmoid(weight / len(won) * steered_won - 1 / len(lost) * steered_lost)


@pytest.mark.parametrize("d", [-1, 1])
def test_loss_and_gradient_equal_the_equation(lm: LanguageModel, sae: SAE, tmp_path: Path, d: int) -> None:
    inputs, _ = make_inputs(lm, sae, tmp_path, "reps", options=OPTIONS)
    trainer = Trainer(lm, LAYER, Dense(lm.d_model), inputs.store, TRAIN)
    v = 0.3 * torch.randn(lm.d_model, generator=torch.Generator().manual_seed(0))
    fast_v, plain_v = v.clone().requires_grad_(), v.clone().requires_grad_()
    done = trainer._steered(list(range(len(PAIRS))), d * fast_v[None], torch.zeros(len(PAIRS), dtype=torch.long))
    fast = ReferenceFree()(done.log_probs, torch.full((len(PAIRS),), float(d)))
    plain = torch.stack([plain_loss(lm, pair, plain_v, d) for pair in PAIRS])
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(losses.sum(), leaf)[0] for losses, leaf in ((fast, fast_v), (plain, plain_v))]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_both_sides_of_the_weight_occur(gemma: LanguageModel) -> None:
    """Some pairs have the weight 1, others more, so that the test above tries both."""
    apart = [
        plain_log_prob(gemma, None, p.prompt, p.rejected, None) - plain_log_prob(gemma, None, p.prompt, p.chosen, None)
        for p in PAIRS
    ]
    assert {float(difference) > 1 for difference in apart} == {True, False}


def test_every_minibatch_draws_a_multiplier(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, log = make_inputs(gemma, sae, tmp_path, "reps", options=OPTIONS)
    vectors = fit(inputs)
    trainer = Trainer(gemma, LAYER, Dense(gemma.d_model), inputs.store, TRAIN, ReferenceFree(), [0.5, 2.0])
    expected = trainer.train(SETS, lambda _row: None)
    assert all(torch.equal(vectors[part.name], expected[part.name]) and vectors[part.name].any() for part in SETS)
    steps = [row for row in log if row["kind"] == "step" and float(str(row["norm"])) > 0]
    strengths = {round(float(str(row["displacement"])) / float(str(row["norm"])), 3) for row in steps}
    assert strengths == {0.5, 2.0}  # a dense vector moves every token by λ times its own length


@pytest.mark.parametrize("multipliers", [[], [0.0], [float("inf")], [-1.0]])
def test_bad_multipliers(gemma: LanguageModel, sae: SAE, tmp_path: Path, multipliers: list[float]) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "reps", options={**OPTIONS, "multipliers": multipliers})
    with pytest.raises(YapoError, match=r"method.options.multipliers=.*: one or more numbers above 0"):
        fit(inputs)
