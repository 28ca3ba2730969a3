"""Training pairs and starting vectors of the methods that train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from yapo.steering.contrast import Contrast
from yapo.steering.method import FitInputs, Method
from yapo.steering.training.train_sets import TrainSet, fewer_facts

Start = Literal["zero", "random", "mean_difference"]
MEAN_DIFFERENCE: Contrast = "prompt"  # place that the closed form reads if a vector starts from it


def training_sets(inputs: FitInputs) -> list[TrainSet]:
    """Return the sets, with the share of the facts that ``train.share`` leaves them."""
    return [fewer_facts(part, inputs.rows, inputs.train.share, inputs.train.seed) for part in inputs.sets]


def starting_vectors(
    inputs: FitInputs, sets: list[TrainSet], width: int, start: Start, closed_form: Method, options: Mapping[str, Any]
) -> dict[str, Tensor] | None:
    """Return where each vector starts, ``[width]`` by the name of its set; None for zero, as published.

    Args:
        inputs: of the method that trains.
        sets: the sets.
        width: entries of a vector.
        start: ``random`` draws every entry from a normal distribution whose standard deviation is the learning rate, about one
            step of Adam. ``mean_difference`` is what the closed form gives for the same pairs.
        closed_form: the method of mean differences in the same space, and its ``options``.
    """
    if start == "zero":
        return None
    if start == "mean_difference":
        vectors = closed_form.fit(replace(inputs, sets=sets, options=options))
        return {name: vector.epochs[-1].cpu() for name, vector in vectors.items()}
    return {part.name: inputs.train.lr * _normal(width, inputs.train.seed if part.seed is None else part.seed) for part in sets}


def _normal(width: int, seed: int) -> Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(seed))
