"""Whole trainings under the published settings against a plain loop written from the published schedule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch import Tensor
from torch.utils.data import BatchSampler
from transformers import get_cosine_schedule_with_warmup

from benchmarks.published import PublishedStep
from yapo.config import TrainConfig
from yapo.config.compose import compose
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.schedule import lr_scale, minibatches, steps_per_epoch
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer

from ..test_pair_batch import PAIRS

LAYER = 1
CONFIG = TrainConfig(
    lr=0.02,
    epochs=4,
    batch_size=1,
    processes=2,
    draws="process",
    warmup_steps=3,
    warmup="step",
    weight_decay=0.0,
    grad_clip=0.5,
    steer_bos=True,
)
PART = TrainSet("both", [0, 1, 2], [3])


def published_run(lm: LanguageModel, sae: SAE | None, config: TrainConfig, part: TrainSet) -> tuple[Tensor, list[float]]:
    """Vectors after each epoch, and the loss of each step: AdamW, warm-up and cosine, clipping, a mean over processes.

    Only the draws are ours: the order of the pairs in an epoch, and d.
    """
    published = PublishedStep(lm.model, lm.tokenizer.pad, LAYER, sae, config)
    total = config.epochs * steps_per_epoch(part, config)
    schedule = get_cosine_schedule_with_warmup(published.optimizer, config.warmup_steps, total)
    epochs, losses, step = [], [], 0
    for epoch in range(config.epochs):
        order = np.random.default_rng([config.seed, 1, epoch, *part.name.encode()]).permutation(len(part.train))
        sampler = BatchSampler([part.train[i] for i in order], config.batch_size, drop_last=False)
        alone = config.processes == 1  # accelerate then leaves the sampler as it is
        shards = [list(sampler if alone else BatchSamplerShard(sampler, config.processes, k)) for k in range(config.processes)]
        for batches in zip(*shards, strict=True):
            directions = [batch.d for batch in minibatches(part, config, step)]
            published.optimizer.zero_grad(set_to_none=True)
            each = [published.loss([PAIRS[i] for i in rows], d) for rows, d in zip(batches, directions, strict=True)]
            loss = torch.stack(each).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([published.vector], config.grad_clip)
            published.optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
            step += 1
        epochs.append(published.vector.detach().clone())
    assert step == total
    return torch.stack(epochs), losses


@pytest.mark.parametrize(
    ("space", "changes"),
    [
        ("dense", {}),
        ("sparse", {}),
        ("dense", {"processes": 1, "batch_size": 2, "weight_decay": 0.05}),
        ("sparse", {"processes": 1, "batch_size": 2, "weight_decay": 0.05}),
        ("sparse", {"draws": "step", "rows_per_pass": 1}),
        ("sparse", {"warmup_steps": 100}),  # longer than the training: it never reaches its peak
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(f"{key}={v}" for key, v in value.items()) or "published",
)
def test_a_whole_training_equals_the_published_loop(
    gemma: LanguageModel, sae: SAE, space: str, changes: dict[str, object]
) -> None:
    config = replace(CONFIG, **changes)
    rows: list[LogRow] = []
    edit = Dense(32) if space == "dense" else Sparse(sae)
    trainer = Trainer(gemma, LAYER, edit, build_store(gemma, LAYER, sae, PAIRS, 4), config)
    ours = trainer.train([PART], rows.append)["both"]
    expected, losses = published_run(gemma, sae if space == "sparse" else None, config, PART)
    assert expected[-1].norm() > 0.01
    for epoch, plain in zip(ours, expected, strict=True):
        assert float((epoch - plain).norm()) <= 1e-5 * float(plain.norm())
    assert [row["loss"] for row in rows if row["kind"] == "step"] == pytest.approx(losses, rel=1e-5)


def test_the_preset_is_what_the_published_run_did() -> None:
    """The settings of the trainings above, with the published numbers; the rest is the paper's Table 4."""
    config = compose(["experiment=gemma2_2b_published", "method=yapo"])
    numbers = {"lr": 5e-4, "epochs": 20, "batch_size": 4, "processes": 8, "warmup_steps": 100, "grad_clip": 1.0}
    assert config.train == replace(CONFIG, **numbers, rows_per_pass=config.train.rows_per_pass)
    assert (config.generation.max_new_tokens_mcq, config.generation.max_new_tokens_open_ended) == (2048, 2048)
    assert (config.model.path, config.discovery.layer) == ("google/gemma-2-2b-it", 15)


def test_steps_of_the_published_warm_up_and_of_ours() -> None:
    assert [lr_scale(step, 1000, 4, published=True) for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert [lr_scale(step, 1000, 4) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]


def test_processes_draw_their_own_direction_or_share_one() -> None:
    part = TrainSet("both", list(range(40)), [0])
    many = TrainConfig(batch_size=2, processes=8, draws="process")
    drawn = [[batch.d for batch in minibatches(part, many, step)] for step in range(20)]
    assert {len(set(directions)) for directions in drawn} == {2}
    shared = replace(many, draws="step")
    assert {len({batch.d for batch in minibatches(part, shared, step)}) for step in range(20)} == {1}
    first = [directions[0] for directions in drawn]
    assert first == [minibatches(part, replace(many, processes=1), step)[0].d for step in range(20)]
    assert {batch.d for batch in minibatches(part, replace(many, directions="positive"), 0)} == {1}
