"""What the methods that train have in common: which pairs they see, and where a vector starts."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from yapo.checks import one_of
from yapo.steering.method import FitInputs, Method
from yapo.steering.training.train_sets import TrainSet, fewer_facts

STARTS = ("zero", "random", "mean_difference")
MEAN_DIFFERENCE = {"contrast": "prompt", "tau": 0.7}  # options of CAA and SAS where a vector starts from theirs


def training_sets(inputs: FitInputs) -> list[TrainSet]:
    """The sets, with the share of the facts that ``train.share`` leaves them."""
    return [fewer_facts(part, inputs.rows, inputs.train.share, inputs.train.seed) for part in inputs.sets]


def starting_vectors(inputs: FitInputs, sets: list[TrainSet], width: int, closed_form: Method) -> dict[str, Tensor] | None:
    """Where each vector starts, as ``method.options.init`` says: ``[width]`` by name; None for zero, as published.

    ``random`` draws every entry from a normal distribution whose standard deviation is the learning rate, about one step of
    Adam. ``mean_difference`` is what the closed-form method of the same space gives for the same pairs.
    """
    init = str(inputs.options.get("init", "zero"))
    one_of("method.options.init", init, STARTS)
    if init == "zero":
        return None
    if init == "mean_difference":
        vectors = closed_form.fit(replace(inputs, sets=sets, options=MEAN_DIFFERENCE))
        return {name: epochs[-1].cpu() for name, epochs in vectors.items()}
    return {part.name: inputs.train.lr * _normal(width, inputs.train.seed if part.seed is None else part.seed) for part in sets}


def _normal(width: int, seed: int) -> Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(seed))
