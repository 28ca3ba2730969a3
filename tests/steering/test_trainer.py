"""Training against the equations: whole model, two passes, dense decode, one vector at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yapo.config import TrainConfig
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.intervention import Dense, Intervention, Sparse, sparse_edit_plain
from yapo.steering.store import Pair, build_store
from yapo.steering.trainer import Row, Trainer, TrainSet

from .test_store import PAIRS

LAYER = 1
CONFIG = TrainConfig(lr=0.05, epochs=2, batch_size=2, warmup_steps=2, grad_clip=1e9)


def plain_loss(lm: LanguageModel, sae: SAE | None, pairs: list[Pair], v: torch.Tensor, d: float, beta: float) -> torch.Tensor:
    """-log σ(dβm), mean over pairs, each answer run through the whole model with a hook at the layer. BOS is left alone."""

    def log_prob(prompt: list[int], answer: list[int], displacement: torch.Tensor | None) -> torch.Tensor:
        def edit(_module: object, _args: object, hidden: torch.Tensor) -> torch.Tensor:
            if displacement is None:
                return hidden
            moved = hidden + displacement if sae is None else sparse_edit_plain(sae, hidden, displacement)
            return torch.cat([hidden[:, :1], moved[:, 1:]], dim=1)

        handle = lm.model.model.layers[LAYER].register_forward_hook(edit)
        logits = lm.model(input_ids=torch.tensor([prompt + answer])).logits[0]
        handle.remove()
        log_probs = torch.log_softmax(logits.float(), dim=-1)
        return torch.stack([log_probs[len(prompt) - 1 + i, token] for i, token in enumerate(answer)]).sum()

    losses = []
    for p in pairs:
        steered = log_prob(p.prompt, p.chosen, d * v) - log_prob(p.prompt, p.rejected, d * v)
        reference = log_prob(p.prompt, p.chosen, None) - log_prob(p.prompt, p.rejected, None)
        losses.append(-torch.nn.functional.logsigmoid(d * beta * (steered - reference)))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("space", ["dense", "sparse"])
@pytest.mark.parametrize("d", [-1.0, 1.0])
@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_loss_and_gradient_equal_the_equations(lm: LanguageModel, sae: SAE, space: str, d: float, scale: float) -> None:
    intervention: Intervention = Dense(32) if space == "dense" else Sparse(sae)
    trainer = Trainer(lm, LAYER, intervention, build_store(lm, LAYER, PAIRS, 4), CONFIG)
    start = scale * torch.randn(intervention.width, generator=torch.Generator().manual_seed(0))
    fast_v, plain_v = start.clone().requires_grad_(), start.clone().requires_grad_()
    margin, _ = trainer._margins([0, 1, 2, 3], d * fast_v.expand(4, -1))
    fast = -torch.nn.functional.logsigmoid(d * CONFIG.beta * margin).mean()
    plain = plain_loss(lm, None if space == "dense" else sae, PAIRS, plain_v, d, CONFIG.beta)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)
    fast.backward()
    plain.backward()
    torch.testing.assert_close(fast_v.grad, plain_v.grad, rtol=1e-4, atol=1e-5)


SETS = [TrainSet("localized", [0, 1], [2]), TrainSet("nonlocalized", [2, 3], [1]), TrainSet("both", [0, 1, 2, 3], [0, 3])]


def _train(lm: LanguageModel, sae: SAE, sets: list[TrainSet], **more: object) -> tuple[dict[str, torch.Tensor], list[Row]]:
    rows: list[Row] = []
    trainer = Trainer(lm, LAYER, Sparse(sae), build_store(lm, LAYER, PAIRS, 4), CONFIG)
    return trainer.train(sets, rows.append, **more), rows  # type: ignore[arg-type]


def test_together_is_the_same_as_one_by_one(gemma: LanguageModel, sae: SAE) -> None:
    together, _ = _train(gemma, sae, SETS)
    for part in SETS:
        alone, _ = _train(gemma, sae, [part])
        torch.testing.assert_close(together[part.name], alone[part.name], rtol=1e-4, atol=1e-5)


def test_same_seed_same_bytes(gemma: LanguageModel, sae: SAE) -> None:
    first, rows = _train(gemma, sae, SETS)
    second, again = _train(gemma, sae, SETS)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert rows == again


def test_resumed_training_ends_in_the_same_vectors(gemma: LanguageModel, sae: SAE, tmp_path) -> None:
    whole, whole_rows = _train(gemma, sae, SETS)
    checkpoint = tmp_path / "checkpoint.safetensors"
    rows: list[Row] = []

    class Killed(Exception):
        pass

    def log(row: Row) -> None:
        rows.append(row)
        if len(rows) == 9:
            raise Killed

    trainer = Trainer(gemma, LAYER, Sparse(sae), build_store(gemma, LAYER, PAIRS, 4), CONFIG)
    with pytest.raises(Killed):
        trainer.train(SETS, log, checkpoint)
    assert checkpoint.exists()
    resumed, rest = _train(gemma, sae, SETS, checkpoint=checkpoint)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert rest == whole_rows


def test_a_checkpoint_of_another_training_is_ignored(gemma: LanguageModel, sae: SAE, tmp_path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    store = build_store(gemma, LAYER, PAIRS, 4)
    Trainer(gemma, LAYER, Sparse(sae), store, replace(CONFIG, lr=0.5)).train(SETS, lambda _row: None, checkpoint)
    fresh, _ = _train(gemma, sae, SETS)
    resumed, _ = _train(gemma, sae, SETS, checkpoint=checkpoint)
    assert all(torch.equal(fresh[name], resumed[name]) for name in fresh)


def test_each_epoch_is_kept_and_logged(gemma: LanguageModel, sae: SAE) -> None:
    vectors, rows = _train(gemma, sae, SETS)
    assert {name: tuple(v.shape) for name, v in vectors.items()} == {
        name: (2, 64) for name in ("localized", "nonlocalized", "both")
    }
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert [(r["setting"], r["epoch"], r["step"]) for r in epochs if r["setting"] == "both"] == [("both", 1, 2), ("both", 2, 4)]
    steps = [row for row in rows if row["kind"] == "step"]
    assert {row["d"] for row in steps} == {-1, 1}


def test_training_lowers_the_loss(gemma: LanguageModel, sae: SAE) -> None:
    rows: list[Row] = []
    config = TrainConfig(lr=0.05, epochs=30, batch_size=4, warmup_steps=2)
    Trainer(gemma, LAYER, Sparse(sae), build_store(gemma, LAYER, PAIRS, 4), config).train([SETS[2]], rows.append)
    losses = [float(row["loss"]) for row in rows if row["kind"] == "step"]  # type: ignore[arg-type]
    assert sum(losses[-5:]) / 5 < 0.9 * losses[0]
