"""The training step on batches laid out ahead, against its plain twin ``steered``: losses, gradients and what is logged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import random_sae
from yapo.config import TrainConfig
from yapo.models.head import pair_log_probs
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.methods.reps import ReferenceFree
from yapo.steering.methods.sft import LanguageModelLoss
from yapo.steering.objective import Objective, Preference, preference_loss, steer_pairs
from yapo.steering.pair_batch import TokenPair
from yapo.steering.sparse_codes import SparseCodes
from yapo.steering.training.cuda_graphs import GraphedSteps
from yapo.steering.training.step import step
from yapo.steering.training.step_batch import StepBatch, VectorPairs, build_step_batch
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer

LAYER, BETA = 1, 0.1
LENGTHS = [(5, 3, 2), (9, 1, 4), (3, 2, 2), (12, 5, 1), (4, 4, 4), (7, 2, 3)]


def pairs() -> list[TokenPair]:
    """Pairs of random ids; two answers are of one token, and all end alike."""
    generator = torch.Generator().manual_seed(0)

    def ids(length: int) -> list[int]:
        return torch.randint(6, 600, (length,), generator=generator).tolist()

    return [TokenPair([2, *ids(p)], [*ids(c - 1), 5], [*ids(r - 1), 5]) for p, c, r in LENGTHS]


def edits(sae: SAE, store: ActivationStore) -> list[tuple[Intervention, list[SparseCodes] | None]]:
    """Every kind of edit that is trained, with its codes."""
    fitted, codes = Sparse(sae).compact(store.codes)
    kept, codes_kept = Sparse(sae, "jumprelu").compact(store.codes)
    return [(Dense(32), None), (fitted, codes), (kept, codes_kept)]


def plain(
    lm: LanguageModel,
    edit: Intervention,
    store: ActivationStore,
    codes: list[SparseCodes],
    v: Tensor,
    signs: Tensor,
    own: Tensor,
    bos: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradient, loss, margin and displacement of each vector, by the plain twin."""
    leaf = nn.Parameter(v.clone())
    done = steer_pairs(lm, LAYER, edit, store, codes, list(range(len(own))), signs[:, None] * leaf, own, bos)
    losses = preference_loss(done.margin, signs[own], BETA)
    mean = torch.stack([losses[own == k].mean() for k in range(len(v))])
    mean.sum().backward()
    assert leaf.grad is not None
    margin = torch.stack([done.margin[own == k].mean() for k in range(len(v))])
    return leaf.grad, mean.detach(), margin.detach(), done.displacement(own, len(v))


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("vectors", [1, 2])
@pytest.mark.parametrize("bos", [False, True])
def test_step_equals_its_twin(lm: LanguageModel, sae: SAE, vectors: int, bos: bool, rounded: bool) -> None:
    store = build_store(lm, LAYER, sae, pairs(), 4)
    order = [[0, 1, 2, 3, 4, 5]] if vectors == 1 else [[0, 1, 3], [2, 4, 5]]
    own = torch.tensor([0] * 6 if vectors == 1 else [0, 0, 1, 0, 1, 1])
    signs = torch.tensor([1.0, -1.0][:vectors])
    for edit, codes in edits(sae, store):
        v = 0.3 * torch.randn(vectors, edit.width, generator=torch.Generator().manual_seed(edit.width))
        expected = plain(lm, edit, store, codes or store.codes, v, signs, own, bos)
        work = [VectorPairs(order[k], int(signs[k])) for k in range(vectors)]
        batch = build_step_batch(store, codes, work, edit.width, bos, rounded)
        gradient, logged = GraphedSteps(lm, LAYER, edit, Preference(BETA), capture=False)(batch, v)
        assert (gradient - expected[0]).norm() <= 1e-5 * expected[0].norm()
        assert torch.allclose(logged, torch.stack(expected[1:]), rtol=1e-5, atol=1e-5)


def test_what_fills_a_shape_changes_nothing(gemma: LanguageModel, any_sae: SAE) -> None:
    """The same pairs in a batch with more rows, tokens, codes and predictions than they need."""
    store = build_store(gemma, LAYER, any_sae, pairs(), 4)
    edit, codes = Sparse(any_sae).compact(store.codes)
    v = torch.full((1, edit.width), 0.2)
    exact, filled = (
        build_step_batch(store, codes, [VectorPairs([3, 1], 1)], edit.width, False, rounded) for rounded in (False, True)
    )
    assert filled.hidden.shape[1] % 64 == 0 and filled.shape != exact.shape
    done = [step(gemma, LAYER, edit, batch, v, Preference(BETA)) for batch in (exact, filled)]
    assert torch.allclose(done[0].losses, done[1].losses, rtol=1e-6)
    assert torch.allclose(done[0].displacement, done[1].displacement, rtol=1e-6)


def test_batches_of_like_sizes_share_a_shape(gemma: LanguageModel, sae: SAE) -> None:
    store = build_store(gemma, LAYER, sae, pairs(), 4)
    edit, codes = Sparse(sae).compact(store.codes)
    one, two = (build_step_batch(store, codes, [VectorPairs(rows, 1)], edit.width, False, True) for rows in ([0, 3], [1, 3]))
    assert one.shape == two.shape
    moved = StepBatch(*(torch.zeros_like(part) for part in one.parts()))
    moved.copy_(two)
    assert all(torch.equal(a, b) for a, b in zip(moved.parts(), two.parts(), strict=True))


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_two_log_probabilities_at_once(softcap: float | None) -> None:
    generator = torch.Generator().manual_seed(2)
    x, weight = torch.randn(9, 8, generator=generator, requires_grad=True), torch.randn(50, 8, generator=generator)
    targets = torch.randint(0, 50, (9, 2), generator=generator)
    upstream = torch.randn(9, 2, generator=generator)
    logits = x @ weight.T
    capped = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    expected = capped.log_softmax(dim=-1).gather(1, targets)
    (slope,) = torch.autograd.grad((expected * upstream).sum(), x)
    found = pair_log_probs(x, weight, targets, softcap)
    (gradient,) = torch.autograd.grad((found * upstream).sum(), x)
    assert torch.allclose(found, expected, atol=1e-5) and torch.allclose(gradient, slope, atol=1e-5)


OBJECTIVES: list[tuple[str, Objective | None, tuple[float, ...]]] = [
    ("dense", None, (1.0,)),
    ("sparse", None, (1.0,)),
    ("dense", LanguageModelLoss(), (1.0,)),
    ("dense", ReferenceFree(), (0.5, 2.0)),
]


@pytest.mark.parametrize(("space", "objective", "multipliers"), OBJECTIVES)
def test_a_whole_training_laid_out_equals_the_plain_one(
    gemma: LanguageModel, sae: SAE, space: str, objective: Objective | None, multipliers: tuple[float, ...], tmp_path: Path
) -> None:
    """Vectors and rows, with several vectors, processes, an uneven last step, and going on from a checkpoint."""
    store = build_store(gemma, LAYER, sae, pairs(), 4)
    sets = [TrainSet("one", [0, 1, 2, 3, 4], [5]), TrainSet("two", [5, 3, 2], [0], seed=7, multiplier=2.0)]
    config = TrainConfig(lr=0.05, epochs=2, batch_size=2, warmup_steps=2, processes=2, draws="process", rows_per_pass=6)
    edit: Intervention = Dense(32) if space == "dense" else Sparse(sae)
    vectors, rows = [], []
    for engine in ("plain", "laid out"):
        logged: list[dict[str, object]] = []
        trainer = Trainer(gemma, LAYER, edit, store, replace(config, engine=engine), objective, multipliers)
        vectors.append(trainer.train(sets, logged.append, tmp_path / engine))
        again: list[dict[str, object]] = []
        resumed = trainer.train(sets, again.append, tmp_path / engine)
        assert again == logged and all(torch.equal(resumed[name], vectors[-1][name]) for name in resumed)
        rows.append(logged)
    for name, values in vectors[0].items():
        torch.testing.assert_close(vectors[1][name], values, rtol=1e-4, atol=1e-5)
    assert [list(row) for row in rows[0]] == [list(row) for row in rows[1]]
    for expected, found in zip(*rows, strict=True):
        for key, value in expected.items():
            assert found[key] == (pytest.approx(value, rel=1e-3, abs=1e-4) if isinstance(value, float) else value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_captured_steps_equal_plain_ones_and_themselves(gemma: LanguageModel) -> None:
    device = torch.device("cuda")
    lm = LanguageModel(gemma.model.to(device), gemma.tokenizer, gemma.source, gemma.digest)
    try:
        sae = random_sae("jumprelu").to(device)
        store = build_store(lm, LAYER, sae, pairs(), 4)
        edit, codes = Sparse(sae).compact(store.codes)
        edit = edit.to(device)
        v = torch.full((1, edit.width), 0.2, device=device)
        batch = build_step_batch(store, codes, [VectorPairs(list(range(6)), -1)], edit.width, False, True)
        steps = GraphedSteps(lm, LAYER, edit, Preference(BETA), capture=True)
        runs = [tuple(part.clone() for part in steps(batch.pinned(), v)) for _ in range(4)]
        assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))
    finally:
        gemma.model.to("cpu")
