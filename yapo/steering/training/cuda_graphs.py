"""Loss and gradient of training steps on batches laid out ahead, each shape recorded once on a GPU and replayed from then on.

A step waits for nothing on the host. Gradients are summed in a fixed order, so the same steps give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from yapo.steering.interventions import Intervention
from yapo.steering.objective import Objective
from yapo.steering.training.step import step
from yapo.steering.training.step_batch import StepBatch

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel


@dataclass(frozen=True, eq=False)
class _Recording:
    """A captured step with the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    batch: StepBatch
    vectors: Tensor
    gradient: Tensor
    logged: Tensor


class GraphedSteps:
    """Loss and gradient of steps laid out ahead.

    Args:
        lm: the model, whose blocks above ``layer`` are resident.
        layer: 0-based block whose output is steered.
        intervention: as wide as the vectors, on the model's device.
        objective: what the losses are.
        capture: record each shape as a CUDA graph when it comes up for the second time.
        compiled: see ``LanguageModel.blocks``.
    """

    def __init__(
        self,
        lm: LanguageModel,
        layer: int,
        intervention: Intervention,
        objective: Objective,
        capture: bool,
        compiled: bool = False,
    ) -> None:
        self.lm, self.layer, self.intervention, self.objective = lm, layer, intervention, objective
        self.capture, self.compiled = capture, compiled
        self._seen: set[object] = set()
        self._recordings: dict[object, _Recording] = {}
        self._pool: Any = None

    def __call__(self, batch: StepBatch, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient ``[V, width]``, and losses, margins and displacements ``[3, V]``; valid until the next call.

        Args:
            batch: laid out for V vectors; on the host, pinned, or on the device.
            vectors: v, ``[V, width]``.
        """
        shape = batch.shape
        recording = self._recordings.get(shape)
        if recording is None and (not self.capture or shape not in self._seen):
            self._seen.add(shape)  # the first time warms up what recording must not do
            return self._run(batch.to(self.lm.device), vectors)
        if recording is None:
            recording = self._recordings[shape] = self._record(batch.to(self.lm.device), vectors.clone())
        recording.batch.copy_(batch)
        recording.vectors.copy_(vectors)
        recording.graph.replay()
        return recording.gradient, recording.logged

    def _run(self, batch: StepBatch, vectors: Tensor) -> tuple[Tensor, Tensor]:
        leaf = vectors.detach().requires_grad_()
        done = step(self.lm, self.layer, self.intervention, batch, leaf, self.objective, self.compiled)
        (gradient,) = torch.autograd.grad(done.losses.sum(), leaf)
        return gradient, torch.stack([done.losses.detach(), done.margins, done.displacement])

    def _record(self, batch: StepBatch, vectors: Tensor) -> _Recording:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            gradient, logged = self._run(batch, vectors)
        self._pool = graph.pool()  # one runs at a time, so they share what they need in between
        return _Recording(graph, batch, vectors, gradient, logged)
