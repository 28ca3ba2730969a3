"""Vectors in training, and their progress on disk, from which an interrupted training goes on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from yapo.errors import YapoError
from yapo.steering.training.train_sets import TrainSet
from yapo.tensors import load_tensors, save_tensors

log = logging.getLogger(__name__)
MOMENTS = ("exp_avg", "exp_avg_sq")

LogRow = dict[str, object]


@dataclass(eq=False)
class VectorState:
    """One vector in training.

    Attributes:
        part: what it learns from.
        vector: its current value, ``[width]``.
        steps_per_epoch, total_steps: of its schedule.
        epochs: the vector after each finished epoch, on the CPU.
    """

    part: TrainSet
    vector: nn.Parameter
    steps_per_epoch: int
    total_steps: int
    epochs: list[Tensor] = field(default_factory=list)


def save_checkpoint(
    path: Path, identity: str, step: int, rows: list[LogRow], states: Sequence[VectorState], optimizer: torch.optim.Optimizer
) -> None:
    """Write everything that the steps from ``step`` on depend on.

    Args:
        identity: digest of what decides the training's result.
        rows: logged so far.
    """
    tensors: dict[str, Tensor] = {}
    for i, state in enumerate(states):
        tensors[f"{i}.vector"] = state.vector
        tensors |= {f"{i}.{key}": optimizer.state[state.vector][key] for key in (*MOMENTS, "step")}
        if state.epochs:
            tensors[f"{i}.epochs"] = torch.stack(state.epochs)
    save_tensors(path, tensors, {"step": step, "identity": identity, "rows": rows})


def resume(
    path: Path | None, identity: str, states: Sequence[VectorState], optimizer: torch.optim.Optimizer
) -> tuple[int, list[LogRow]]:
    """Set vectors and optimiser to what ``path`` holds; return the next step, and the rows logged before it.

    A file of another training, a damaged or a foreign one changes nothing: training starts from step 0.
    """
    if path is None or not path.exists():
        return 0, []
    try:
        tensors, header = load_tensors(path)
    except YapoError as error:
        log.warning("%s; training starts from the beginning", error)
        return 0, []
    if header.get("identity") != identity:
        log.info("%s: of a training with other settings or pairs; training starts from the beginning", path)
        return 0, []
    if not _complete(tensors, header, states):
        log.warning("%s: lacks a part of a checkpoint; training starts from the beginning", path)
        return 0, []
    for i, state in enumerate(states):
        with torch.no_grad():
            state.vector.copy_(tensors[f"{i}.vector"])
        moments = {key: tensors[f"{i}.{key}"].to(state.vector.device) for key in MOMENTS}
        fused = optimizer.defaults.get("fused")  # a fused optimizer wants its counter on the device
        step = tensors[f"{i}.step"].to(state.vector.device) if fused else tensors[f"{i}.step"]
        optimizer.state[state.vector] = {"step": step, **moments}
        state.epochs = list(tensors.get(f"{i}.epochs", torch.empty(0)))
    return int(header["step"]), list(header["rows"])


def _complete(tensors: dict[str, Tensor], header: dict[str, Any], states: Sequence[VectorState]) -> bool:
    """Return whether a checkpoint has every part, in the shapes that these vectors need."""
    step, rows = header.get("step"), header.get("rows")
    if not isinstance(step, int) or step < 1 or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return False
    shapes: dict[str, tuple[int, ...]] = {}
    for i, state in enumerate(states):
        width, finished = state.vector.numel(), min(step, state.total_steps) // state.steps_per_epoch
        shapes |= {f"{i}.{key}": (width,) for key in ("vector", *MOMENTS)} | {f"{i}.step": ()}
        shapes |= {f"{i}.epochs": (finished, width)} if finished else {}
    return shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
