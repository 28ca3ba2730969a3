"""Pairs, direction and learning rate of every training step, from the seed and the step alone.

A step stands for ``train.processes`` data-parallel processes, each with ``train.batch_size`` pairs of its own; its loss is the
mean of theirs, which is what such processes compute when they average their gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yapo.config import TrainConfig
from yapo.steering.training.train_sets import TrainSet


@dataclass(frozen=True)
class Minibatch:
    """The pairs that one process takes in a step, as rows of the store, their direction d in {-1, 1}, and what multiplies v."""

    rows: list[int]
    d: int
    multiplier: float = 1.0


def steps_per_epoch(part: TrainSet, config: TrainConfig) -> int:
    """Return how many steps visit every pair of a set once."""
    return math.ceil(len(part.train) / (config.batch_size * config.processes))


def minibatches(part: TrainSet, config: TrainConfig, step: int, multipliers: Sequence[float] = (1.0,)) -> list[Minibatch]:
    """Return the minibatch of each process in a step counted from 0.

    An epoch takes the pairs in an order that is drawn anew. Consecutive pairs go to the first process, the second, and so on.
    The last step of an epoch takes what is left where there is one process; with several it is filled up from the beginning of
    the epoch, as accelerate's loaders do. Each minibatch draws one of ``multipliers``.
    """
    steps, size = steps_per_epoch(part, config), config.batch_size * config.processes
    epoch, position = divmod(step, steps)
    name = list(part.name.encode())
    seed = config.seed if part.seed is None else part.seed
    order = np.random.default_rng([seed, 1, epoch, *name]).permutation(len(part.train))
    if config.processes > 1:
        order = np.resize(order, steps * size)
    taken = [part.train[i] for i in order[position * size : (position + 1) * size]]
    drawn = np.random.default_rng([seed, 2, step, *name]).choice(
        [-1, 1] if config.directions == "both" else [1], size=config.processes
    )
    directions = drawn if config.draws == "process" else drawn[:1].repeat(config.processes)
    starts = range(0, len(taken), config.batch_size)
    factors = np.random.default_rng([seed, 3, step, *name]).choice(multipliers, size=config.processes)
    return [
        Minibatch(taken[i : i + config.batch_size], int(d), float(factor))
        for i, d, factor in zip(starts, directions, factors, strict=True)
    ]


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """Return the rate of a step counted from 0: ``train.lr`` times ``lr_scale``."""
    return config.lr * lr_scale(step, total, config.warmup_steps, published=config.warmup == "step")


def lr_scale(step: int, total: int, warmup: int, published: bool = False) -> float:
    """Return the share of the rate at a step: linear warm-up over ``warmup`` steps, then cosine decay to 0 at ``total``.

    The published warm-up is step/warmup: the first step has rate 0. Ours is (step+1)/warmup, so that no step is lost, and takes
    at most half of all steps.
    """
    warmup = warmup if published else min(warmup, total // 2)
    if step < warmup:
        return (step + (not published)) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
