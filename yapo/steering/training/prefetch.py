"""Steps of a training on batches laid out ahead: the host prepares the next one while the device works on this one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from yapo.config import TrainConfig
from yapo.steering.activations import ActivationStore
from yapo.steering.interventions import Intervention
from yapo.steering.objective import Objective, chunks
from yapo.steering.sparse_codes import SparseCodes
from yapo.steering.training.checkpoint import VectorState
from yapo.steering.training.cuda_graphs import GraphedSteps
from yapo.steering.training.schedule import Minibatch
from yapo.steering.training.step_batch import StepBatch, VectorPairs, build_step_batch

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

log = logging.getLogger(__name__)
Assigned = list[tuple[VectorState, Minibatch]]


class PrefetchedSteps:
    """Forward and backward of the minibatches of one step after the other; gradients are left on the vectors.

    Args:
        lm: the model.
        layer: 0-based block whose output is steered.
        intervention: as wide as the vectors, on the model's device.
        store: the pairs.
        codes: of every pair, as ``intervention`` reads them.
        config: of the training.
        objective: what it lowers.
    """

    def __init__(
        self,
        lm: LanguageModel,
        layer: int,
        intervention: Intervention,
        store: ActivationStore,
        codes: Sequence[SparseCodes] | None,
        config: TrainConfig,
        objective: Objective,
    ) -> None:
        self.store, self.codes, self.config, self.width = store, codes, config, intervention.width
        self.cuda = lm.device.type == "cuda"
        self.steps = GraphedSteps(lm, layer, intervention, objective, capture=self.cuda)
        self.tokens = 0  # shortest row
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="layout")
        self._next: tuple[int, Future[list[StepBatch]]] | None = None

    def compile(self) -> None:
        """Compile the blocks, for rows of one length, so that few shapes are compiled."""
        if self.cuda and not self.steps.compiled:
            self.steps.compiled, self.tokens = True, max(map(len, self.store.hidden))
            log.info("blocks are compiled for rows of %d tokens; the first steps take longer", self.tokens)

    def __call__(self, step: int, work: Assigned, following: Callable[[], Assigned]) -> Tensor:
        """Return loss, margin, norm and displacement of each minibatch, ``[minibatches, 4]``, on the device.

        Args:
            step: number of the step.
            work: its minibatches, each with the vector that it moves.
            following: returns those of the step after it.
        """
        ready = self._next[1].result() if self._next is not None and self._next[0] == step else self._batches(work)
        self._next = step + 1, self._thread.submit(lambda: self._batches(following()))
        measured = [self._pass(part, batch) for part, batch in zip(self._parts(work), ready, strict=True)]
        return torch.cat(measured)

    def _parts(self, work: Assigned) -> list[Assigned]:
        return list(chunks(work, max(1, self.config.rows_per_pass // self.config.batch_size)))

    def _batches(self, work: Assigned) -> list[StepBatch]:
        batches = []
        for part in self._parts(work):
            pairs = [VectorPairs(batch.rows, batch.d, state.part.multiplier * batch.multiplier) for state, batch in part]
            laid = build_step_batch(self.store, self.codes, pairs, self.width, self.config.steer_bos, self.cuda, self.tokens)
            batches.append(laid.pinned() if self.cuda else laid)
        return batches

    def _pass(self, part: Assigned, batch: StepBatch) -> Tensor:
        vectors = torch.stack([state.vector.detach() for state, _ in part])
        gradient, logged = self.steps(batch, vectors)
        for (state, _), state_gradient in zip(part, gradient / self.config.processes, strict=True):
            state.vector.grad = state_gradient if state.vector.grad is None else state.vector.grad + state_gradient
        losses, margins, displacements = logged
        return torch.stack([losses, margins, vectors.norm(dim=1), displacements], dim=1)
