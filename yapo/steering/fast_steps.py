"""Run training steps on a GPU: batches copied in while the device works, each shape captured once and replayed.

A step waits for nothing on the host. Gradients are summed in a fixed order, so the same steps give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from yapo.steering.intervention import Intervention
from yapo.steering.layout import StepBatch
from yapo.steering.step import step

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel


@dataclass(frozen=True, eq=False)
class _Captured:
    """A recorded step with the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    batch: StepBatch
    vectors: Tensor
    signs: Tensor
    scale: Tensor
    gradient: Tensor
    logged: Tensor


class FastSteps:
    """Loss and gradient of steps laid out ahead.

    Args:
        lm: the model, whose blocks above ``layer`` are resident.
        layer: 0-based block whose output is steered.
        intervention: as wide as the vectors, on the model's device.
        beta: of the objective.
        capture: record each shape as a CUDA graph when it comes up for the second time.
    """

    def __init__(self, lm: LanguageModel, layer: int, intervention: Intervention, beta: float, capture: bool) -> None:
        self.lm, self.layer, self.intervention, self.beta, self.capture = lm, layer, intervention, beta, capture
        self._seen: set[object] = set()
        self._captured: dict[object, _Captured] = {}
        self._pool: tuple[int, int] | None = None

    def __call__(self, batch: StepBatch, vectors: Tensor, signs: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient ``[V, width]``, and losses, margins and displacements ``[3, V]``; valid until the next call.

        Args:
            batch: laid out for V vectors; on the host, pinned, or on the device.
            vectors: ``[V, width]``.
            signs: d of each, ``[V]``.
            scale: what multiplies each, d included, ``[V]``.
        """
        if not self.capture:
            return self._run(batch.to(self.lm.device), vectors, signs, scale)
        shape = batch.shape
        captured = self._captured.get(shape)
        if captured is None and shape not in self._seen:  # the first time warms up what capturing must not do
            self._seen.add(shape)
            return self._run(batch.to(self.lm.device), vectors, signs, scale)
        if captured is None:
            captured = self._captured[shape] = self._record(
                batch.to(self.lm.device), vectors.clone(), signs.clone(), scale.clone()
            )
        captured.batch.copy_(batch)
        for mine, new in ((captured.vectors, vectors), (captured.signs, signs), (captured.scale, scale)):
            mine.copy_(new)
        captured.graph.replay()
        return captured.gradient, captured.logged

    def _run(self, batch: StepBatch, vectors: Tensor, signs: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        leaf = vectors.detach().requires_grad_()
        done = step(self.lm, self.layer, self.intervention, batch, scale[:, None] * leaf, signs, self.beta)
        (gradient,) = torch.autograd.grad(done.losses.sum(), leaf)
        return gradient, torch.stack([done.losses.detach(), done.margins, done.displacement])

    def _record(self, batch: StepBatch, vectors: Tensor, signs: Tensor, scale: Tensor) -> _Captured:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            gradient, logged = self._run(batch, vectors, signs, scale)
        self._pool = graph.pool()  # one at a time, so they share what they need in between
        return _Captured(graph, batch, vectors, signs, scale, gradient, logged)
