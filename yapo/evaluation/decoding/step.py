"""One decoding step of all rows, captured once as a CUDA graph for each shape and replayed from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from yapo.evaluation.decoding.sampling import sample
from yapo.evaluation.decoding.slots import Slots, StepCache
from yapo.models.language_model import LanguageModel
from yapo.steering.token_edits import TokenEdit


@dataclass(frozen=True, eq=False)
class Step:
    """One decoding step of all rows.

    Attributes:
        lm: the model.
        layer: 0-based block whose output is edited.
        edits: whose changes are added there.
        temperature: of samples; None for the likeliest token.
    """

    lm: LanguageModel
    layer: int
    edits: list[TokenEdit]
    temperature: float | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Steps with equal keys can share captured graphs."""
        return (self.layer, self.temperature, *(edit.key for edit in self.edits))

    def __call__(self, slots: Slots, length: int) -> None:
        """Read every row's token, and choose the next one.

        Args:
            slots: the rows.
            length: keys that queries may see; at least the largest position plus one.
        """
        lm, positions = self.lm, slots.position[:, None]
        keys = torch.arange(length, device=positions.device).expand(slots.rows, length)
        masks = lm.masks(keys[:, None, :] <= positions[:, :, None], positions, keys)
        cache = StepCache(slots, length)
        hidden = lm.blocks(lm.embed(slots.token[:, None]), 0, self.layer + 1, positions, masks, cache)
        if self.edits:
            states = hidden[:, 0].float()
            change = self.edits[0](states, slots.owner)
            for edit in self.edits[1:]:
                change = change + edit(states, slots.owner)
            hidden = (states + change).to(hidden.dtype)[:, None]
        top = lm.blocks(hidden, self.layer + 1, lm.n_layers, positions, masks, cache)
        slots.written.index_copy_(0, slots.column, slots.token[None])
        slots.column.add_(1)
        slots.position.add_(1).clamp_(max=slots.capacity - 1)
        slots.token.copy_(self.choose(top[:, -1], slots.noise, slots.position))

    def choose(self, hidden: Tensor, noise: Tensor, positions: Tensor) -> Tensor:
        """Return each row's next token from the last block's output ``[rows, d_model]``; it goes to ``positions [rows]``."""
        if self.temperature is None:
            return self.lm.likeliest(hidden)
        return sample(self.lm.logits(hidden), self.temperature, noise, positions)


@dataclass(eq=False)
class Graphs:
    """Captured steps, by rows and key length. They hold as long as the storage that they were captured on.

    Attributes:
        worth: number of steps of one shape from which capturing pays.
    """

    worth: int = 8
    _seen: dict[tuple[int, int], int] = field(default_factory=dict)
    _captured: dict[tuple[int, int], torch.cuda.CUDAGraph] = field(default_factory=dict)
    _pool: Any = None

    def run(self, step: Callable[[Slots, int], None], slots: Slots, length: int, times: int) -> None:
        """Run a step several times, as a graph once its shape has come up often."""
        shape = (slots.rows, length)
        for _ in range(times):
            graph = self._captured.get(shape)
            if graph is None and self._seen.setdefault(shape, 0) >= self.worth:
                graph = self._captured[shape] = self._capture(step, slots, length)
            if graph is None:
                self._seen[shape] += 1
                step(slots, length)
            else:
                graph.replay()

    def _capture(self, step: Callable[[Slots, int], None], slots: Slots, length: int) -> torch.cuda.CUDAGraph:
        """Record a step without running it."""
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            step(slots, length)
        self._pool = graph.pool()  # graphs run one after the other, so they share what they need in between
        return graph
