"""Training against the equations: whole model, two passes, dense decode, one vector at a time."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from yapo.config import TrainConfig
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.interventions import Dense, Intervention, Sparse, sparse_edit_plain
from yapo.steering.pair_batch import TokenPair
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.schedule import minibatches
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer

from ..test_pair_batch import PAIRS

LAYER = 1
CONFIG = TrainConfig(lr=0.05, epochs=2, batch_size=2, warmup_steps=2, grad_clip=1e9)


def plain_log_prob(
    lm: LanguageModel,
    sae: SAE | None,
    prompt: list[int],
    answer: list[int],
    displacement: torch.Tensor | None,
    steer_bos: bool = False,
) -> torch.Tensor:
    """log π of one answer, run through the whole model with a hook at the layer. BOS is left alone; None steers nothing."""

    def edit(_module: object, _args: object, hidden: torch.Tensor) -> torch.Tensor:
        if displacement is None:
            return hidden
        moved = hidden + displacement if sae is None else sparse_edit_plain(sae, hidden, displacement)
        return moved if steer_bos else torch.cat([hidden[:, :1], moved[:, 1:]], dim=1)

    handle = lm.model.model.layers[LAYER].register_forward_hook(edit)
    logits = lm.model(input_ids=torch.tensor([prompt + answer])).logits[0]
    handle.remove()
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    return torch.stack([log_probs[len(prompt) - 1 + i, token] for i, token in enumerate(answer)]).sum()


def plain_losses(
    lm: LanguageModel, sae: SAE | None, pairs: list[TokenPair], v: torch.Tensor, d: float, steer_bos: bool = False
) -> torch.Tensor:
    """-log σ(dβm) of each pair, answer by answer."""
    losses = []
    for p in pairs:
        chosen, rejected = (plain_log_prob(lm, sae, p.prompt, answer, d * v, steer_bos) for answer in p.answers)
        chosen_0, rejected_0 = (plain_log_prob(lm, sae, p.prompt, answer, None) for answer in p.answers)
        margin = (chosen - rejected) - (chosen_0 - rejected_0)
        losses.append(-torch.nn.functional.logsigmoid(d * CONFIG.beta * margin))
    return torch.stack(losses)


def assert_equal_to_the_equations(
    lm: LanguageModel, sae: SAE | None, d: float, scale: float, config: TrainConfig = CONFIG, store_sae: SAE | None = None
) -> None:
    """Loss of every example, and its gradient, against ``plain_losses``."""
    codes_of = sae or store_sae
    assert codes_of is not None
    intervention: Intervention = Dense(32) if sae is None else Sparse(sae)
    trainer = Trainer(lm, LAYER, intervention, build_store(lm, LAYER, codes_of, PAIRS, 4), config)
    narrow = trainer.intervention
    start = scale * torch.randn(narrow.width, generator=torch.Generator().manual_seed(0))
    fast_v, plain_v = start.clone().requires_grad_(), narrow.expand(start).requires_grad_()
    margin = trainer._steered([0, 1, 2, 3], d * fast_v[None], torch.zeros(4, dtype=torch.long)).margin
    fast = -torch.nn.functional.logsigmoid(d * config.beta * margin)
    plain = plain_losses(lm, sae, PAIRS, plain_v, d, config.steer_bos)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)
    for i in range(len(PAIRS)):
        (fast_grad,) = torch.autograd.grad(fast[i], fast_v, retain_graph=True)
        (plain_grad,) = torch.autograd.grad(plain[i], plain_v, retain_graph=True)
        torch.testing.assert_close(narrow.expand(fast_grad), plain_grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("space", ["dense", "sparse"])
@pytest.mark.parametrize("d", [-1.0, 1.0])
@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_loss_and_gradient_equal_the_equations(lm: LanguageModel, sae: SAE, space: str, d: float, scale: float) -> None:
    assert_equal_to_the_equations(lm, sae if space == "sparse" else None, d, scale, store_sae=sae)


@pytest.mark.parametrize("steer_bos", [False, True])
def test_every_kind_of_autoencoder(gemma: LanguageModel, any_sae: SAE, steer_bos: bool) -> None:
    assert_equal_to_the_equations(gemma, any_sae, -1.0, 0.0, replace(CONFIG, steer_bos=steer_bos))


def test_features_that_never_fire_need_no_training(gemma: LanguageModel, sae: SAE) -> None:
    """Their gradient is 0 in the plain equations while they are at 0, so they are not kept."""
    rare = replace(sae, threshold=torch.full((64,), 4.0))
    store = build_store(gemma, LAYER, rare, PAIRS, 4)
    trainer = Trainer(gemma, LAYER, Sparse(rare), store, CONFIG)
    assert 0 < trainer.intervention.width < 64
    learned = trainer.train([TrainSet("all", [0, 1, 2, 3], [0])], lambda _row: None)["all"][-1].requires_grad_()
    (grad,) = torch.autograd.grad(plain_losses(gemma, rare, PAIRS, learned, -1.0).sum(), learned)
    kept = torch.zeros(64, dtype=torch.bool)
    kept[trainer.intervention.features] = True  # type: ignore[attr-defined]
    assert learned[kept].any()
    assert not learned[~kept].any()
    assert not grad[~kept].any()


def test_bfloat16_model_float32_vector(gemma: LanguageModel, sae: SAE) -> None:
    """Half precision moves the loss by rounding only; the vector and its gradient stay in float32."""
    half = LanguageModel(copy.deepcopy(gemma.model).bfloat16(), gemma.tokenizer, "half", "gemma2 bf16")
    losses = {}
    for lm in (gemma, half):
        trainer = Trainer(lm, LAYER, Sparse(sae), build_store(lm, LAYER, sae, PAIRS, 4), CONFIG)
        vector = torch.full((trainer.intervention.width,), 0.05, requires_grad=True)
        done = trainer._steered([0, 1, 2, 3], vector[None], torch.zeros(4, dtype=torch.long))
        done.margin.sum().backward()
        assert trainer.store.hidden[0].dtype == done.change.dtype == lm.dtype
        assert vector.grad is not None
        assert done.margin.dtype == vector.grad.dtype == torch.float32
        losses[lm.source] = done.margin.detach()
    torch.testing.assert_close(losses["half"], losses[gemma.source], rtol=0.1, atol=0.3)


SETS = [TrainSet("localized", [0, 1], [2]), TrainSet("nonlocalized", [2, 3], [1]), TrainSet("both", [0, 1, 2, 3], [0, 3])]


def _train(
    lm: LanguageModel, sae: SAE, sets: list[TrainSet], checkpoint: Path | None = None, rows_per_pass: int = 64
) -> tuple[dict[str, torch.Tensor], list[LogRow]]:
    rows: list[LogRow] = []
    config = replace(CONFIG, rows_per_pass=rows_per_pass)
    trainer = Trainer(lm, LAYER, Sparse(sae), build_store(lm, LAYER, sae, PAIRS, 4), config)
    return trainer.train(sets, rows.append, checkpoint), rows


def test_together_is_the_same_as_one_by_one(gemma: LanguageModel, sae: SAE) -> None:
    together, _ = _train(gemma, sae, SETS)
    for part in SETS:
        alone, _ = _train(gemma, sae, [part])
        torch.testing.assert_close(together[part.name], alone[part.name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows_per_pass", [1, 2, 4, 5])
def test_passes_of_fewer_vectors_change_nothing(gemma: LanguageModel, sae: SAE, rows_per_pass: int) -> None:
    together, _ = _train(gemma, sae, SETS)
    split, _ = _train(gemma, sae, SETS, rows_per_pass=rows_per_pass)
    for name in together:
        torch.testing.assert_close(split[name], together[name], rtol=1e-4, atol=1e-5)


def test_seeds_and_multipliers_train_side_by_side(gemma: LanguageModel, sae: SAE) -> None:
    """A vector of another seed or multiplier is what a training of its own with that seed or multiplier gives."""
    store = build_store(gemma, LAYER, sae, PAIRS, 4)
    base = TrainSet("both", [0, 1, 2, 3], [0, 3])

    def train(*sets: TrainSet, seed: int = 0) -> dict[str, torch.Tensor]:
        return Trainer(gemma, LAYER, Sparse(sae), store, replace(CONFIG, seed=seed)).train(list(sets), lambda _row: None)

    seeded, stronger = replace(base, seed=7), replace(base, multiplier=2.0)
    alone = [train(base)["both"], train(base, seed=7)["both"], train(stronger)["both"]]
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    assert not torch.allclose(alone[0], alone[2], atol=1e-3)
    trainer = Trainer(gemma, LAYER, Sparse(sae), store, CONFIG)
    states = [trainer._start(part) for part in (base, seeded, stronger)]
    for state in states:
        with torch.no_grad():
            state.vector.fill_(0.1)
    together = trainer._step(states, 0)
    for state, row in zip(states, together, strict=True):
        single = trainer._start(state.part)
        with torch.no_grad():
            single.vector.fill_(0.1)
        (own,) = trainer._step([single], 0)
        assert own["loss"] == pytest.approx(row["loss"], rel=1e-5)
        torch.testing.assert_close(single.vector.grad, state.vector.grad, rtol=1e-5, atol=1e-5)


def test_countries_train_together_on_joined_stores(gemma: LanguageModel, sae: SAE) -> None:
    stores = [build_store(gemma, LAYER, sae, pairs, 4) for pairs in (PAIRS[:2], PAIRS[2:])]
    one, two = TrainSet("one", [0, 1], [0]), TrainSet("two", [0, 1], [1])
    moved = TrainSet("two", [2, 3], [3])
    joined = Trainer(gemma, LAYER, Sparse(sae), ActivationStore.joined(stores), CONFIG).train([one, moved], lambda _row: None)
    for store, part in zip(stores, (one, two), strict=True):
        alone = Trainer(gemma, LAYER, Sparse(sae), store, CONFIG).train([part], lambda _row: None)[part.name]
        torch.testing.assert_close(joined[part.name], alone, rtol=1e-4, atol=1e-5)


def test_activations_of_another_model_or_layer_are_refused(gemma: LanguageModel, sae: SAE) -> None:
    store = build_store(gemma, LAYER, sae, PAIRS, 4)
    with pytest.raises(YapoError, match=r"are asked for; run the stage prepare again"):
        Trainer(gemma, 2, Sparse(sae), store, CONFIG)
    other = LanguageModel(gemma.model, gemma.tokenizer, "other", "other weights")
    with pytest.raises(YapoError, match=r"are asked for; run the stage prepare again"):
        Trainer(other, LAYER, Sparse(sae), store, CONFIG)


def test_only_the_blocks_above_the_layer_are_needed(gemma: LanguageModel, sae: SAE) -> None:
    store = build_store(gemma, LAYER, sae, PAIRS, 4)
    upper = LanguageModel(copy.deepcopy(gemma.model), gemma.tokenizer, gemma.source, gemma.digest)
    upper.keep_upper(LAYER + 1)
    whole = Trainer(gemma, LAYER, Sparse(sae), store, CONFIG).train(SETS, lambda _row: None)
    part = Trainer(upper, LAYER, Sparse(sae), store, CONFIG).train(SETS, lambda _row: None)
    assert all(torch.equal(whole[name], part[name]) for name in whole)


def test_same_seed_same_bytes(gemma: LanguageModel, sae: SAE) -> None:
    first, rows = _train(gemma, sae, SETS)
    second, again = _train(gemma, sae, SETS)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert rows == again


def test_resumed_training_ends_in_the_same_vectors(gemma: LanguageModel, sae: SAE, tmp_path) -> None:
    whole, whole_rows = _train(gemma, sae, SETS)
    checkpoint = tmp_path / "checkpoint.safetensors"
    rows: list[LogRow] = []

    class Killed(Exception):
        pass

    def log(row: LogRow) -> None:
        rows.append(row)
        if len(rows) == 9:
            raise Killed

    trainer = Trainer(gemma, LAYER, Sparse(sae), build_store(gemma, LAYER, sae, PAIRS, 4), CONFIG)
    with pytest.raises(Killed):
        trainer.train(SETS, log, checkpoint)
    assert checkpoint.exists()
    resumed, rest = _train(gemma, sae, SETS, checkpoint=checkpoint)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert rest == whole_rows


def test_a_checkpoint_of_another_training_is_ignored(gemma: LanguageModel, sae: SAE, tmp_path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    store = build_store(gemma, LAYER, sae, PAIRS, 4)
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
    rows: list[LogRow] = []
    config = TrainConfig(lr=0.05, epochs=30, batch_size=4, warmup_steps=2)
    Trainer(gemma, LAYER, Sparse(sae), build_store(gemma, LAYER, sae, PAIRS, 4), config).train([SETS[2]], rows.append)
    losses = [float(row["loss"]) for row in rows if row["kind"] == "step"]  # type: ignore[arg-type]
    assert sum(losses[-5:]) / 5 < 0.9 * losses[0]


def test_one_direction_only(gemma: LanguageModel, sae: SAE) -> None:
    """Every step goes forwards; what is learned is another vector."""
    store = build_store(gemma, LAYER, sae, PAIRS, 4)
    rows: list[LogRow] = []
    config = replace(CONFIG, epochs=4, directions="positive")
    one = Trainer(gemma, LAYER, Sparse(sae), store, config).train(SETS[2:], rows.append)["both"]
    both = Trainer(gemma, LAYER, Sparse(sae), store, replace(config, directions="both")).train(SETS[2:], lambda _row: None)[
        "both"
    ]
    assert {row["d"] for row in rows if row["kind"] == "step"} == {1}
    assert not torch.allclose(one, both, atol=1e-3)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_the_displacement_logged_is_that_of_the_minibatch(gemma: LanguageModel, sae: SAE, space: str) -> None:
    """Against the edit of each row alone, for two vectors in one pass; step 0 has not moved yet."""
    intervention: Intervention = Dense(32) if space == "dense" else Sparse(sae)
    trainer = Trainer(gemma, LAYER, intervention, build_store(gemma, LAYER, sae, PAIRS, 4), CONFIG)
    states = [trainer._start(part) for part in SETS[:2]]
    assert all(row["displacement"] == 0 for row in trainer._step(states, 0))
    for k, state in enumerate(states):
        with torch.no_grad():
            state.vector.copy_(0.3 * torch.randn(trainer.intervention.width, generator=torch.Generator().manual_seed(k)))
    logged = trainer._step(states, 1)
    for state, row in zip(states, logged, strict=True):
        (batch,) = minibatches(state.part, CONFIG, 1)
        u = trainer.intervention.expand(batch.d * state.vector.detach())
        states_of = [trainer.store.hidden[i] for i in batch.rows]
        changes = [intervention.changes(h[None], u, torch.arange(len(h))[None] > 0) for h in states_of]
        assert row["displacement"] == pytest.approx(float(torch.cat(changes).norm(dim=-1).mean()), rel=1e-4)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_training_can_start_elsewhere(gemma: LanguageModel, sae: SAE, space: str, tmp_path: Path) -> None:
    """A start is where the first step is taken from; zeros change nothing; a checkpoint of another start is ignored."""
    rare = replace(sae, threshold=torch.full((64,), 4.0))  # features that never fire are not trained, wherever they start
    store = build_store(gemma, LAYER, rare, PAIRS, 4)
    trainer = Trainer(gemma, LAYER, Dense(32) if space == "dense" else Sparse(rare), store, replace(CONFIG, lr=1e-9))
    start = torch.randn(32 if space == "dense" else 64, generator=torch.Generator().manual_seed(0))
    checkpoint = tmp_path / "checkpoint.safetensors"
    moved = trainer.train(SETS[2:], lambda _row: None, checkpoint, {"both": start})["both"]
    kept = trainer.intervention.expand(torch.ones(trainer.intervention.width)) > 0
    assert kept.all() == (space == "dense")
    torch.testing.assert_close(moved, torch.where(kept, start, 0.0).expand(2, -1), atol=1e-6, rtol=0)
    plain = trainer.train(SETS[2:], lambda _row: None, checkpoint)["both"]
    zeros = trainer.train(SETS[2:], lambda _row: None, starts={"both": torch.zeros_like(start)})["both"]
    assert torch.equal(plain, zeros)
    assert plain.abs().max() < 1e-6
