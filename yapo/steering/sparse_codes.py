"""Sparse codes of a batch of tokens, kept as the few features that fire (compressed sparse rows)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from yapo.models.sae import SAE
from yapo.steering.pair_batch import PairBatch


@dataclass(frozen=True)
class SparseCodes:
    """The features that fire, token after token, row after row.

    Attributes:
        ids: feature of each entry, ascending within a token, ``[entries]``; int64, or int32 on disk.
        values: its activation, above 0, float32 ``[entries]``.
        counts: entries of each token, ``[rows, tokens]``; 0 on padding; int64, or int32 on disk.
    """

    ids: Tensor
    values: Tensor
    counts: Tensor

    @classmethod
    def of(cls, sae: SAE, hidden: Tensor) -> SparseCodes:
        """Encode ``hidden [rows, tokens, d_model]``, a bounded number of dense codes at a time."""
        ids, values, counts = sae.encode_sparse(hidden.reshape(-1, hidden.shape[-1]))
        return cls(ids, values, counts.reshape(hidden.shape[:-1]))

    @classmethod
    def packed(cls, parts: Sequence[SparseCodes], batch: PairBatch) -> SparseCodes:
        """Join codes of single pairs, ``counts [1, tokens of the pair]`` each, in the layout of a batch."""
        counts = batch.packed([part.counts[0].long() for part in parts])
        ordered = [parts[i] for i in batch.order()]
        return cls(torch.cat([part.ids.long() for part in ordered]), torch.cat([part.values for part in ordered]), counts)

    def offsets(self) -> Tensor:
        """Return the index at which each token's entries begin, and the end: ``[rows * tokens + 1]``."""
        ends = self.counts.reshape(-1).cumsum(dim=0)
        return torch.cat([ends.new_zeros(1), ends])

    def rows(self, wanted: Tensor) -> SparseCodes:
        """Return rows; row i of the result is row ``wanted[i]``."""
        lengths = self.counts.sum(dim=1)
        starts = lengths.cumsum(dim=0) - lengths
        taken = lengths[wanted]
        shift = starts[wanted] - (taken.cumsum(dim=0) - taken)
        index = torch.arange(int(taken.sum()), device=self.ids.device) + torch.repeat_interleave(shift, taken)
        return SparseCodes(self.ids[index], self.values[index], self.counts[wanted])

    def restricted(self, features: Tensor) -> SparseCodes:
        """Keep only entries of ``features`` (ascending), renumbered by their place in it."""
        place = torch.searchsorted(features, self.ids).clamp_max(len(features) - 1)
        return self._where(features[place] == self.ids, place)

    def live(self, tokens: Tensor) -> SparseCodes:
        """Keep only entries of tokens where ``tokens [rows, tokens]`` is True."""
        return self._where(torch.repeat_interleave(tokens.reshape(-1), self.counts.reshape(-1)), self.ids)

    def _where(self, keep: Tensor, ids: Tensor) -> SparseCodes:
        kept = torch.cat([keep.new_zeros(1, dtype=torch.long), keep.long().cumsum(dim=0)])
        offsets = self.offsets()
        counts = (kept[offsets[1:]] - kept[offsets[:-1]]).reshape(self.counts.shape)
        return SparseCodes(ids[keep], self.values[keep], counts)

    def to(self, device: torch.device) -> SparseCodes:
        """Return the same codes on another device."""
        return SparseCodes(self.ids.to(device), self.values.to(device), self.counts.to(device))


class FixedCodes(NamedTuple):
    """Codes of a training step in shapes that recur: E codes, the last of which may only fill the shape.

    Attributes:
        ids, values: features and activations, token after token, ``[E]``.
        place: index of each code's entry in the flattened scaled vectors ``[vectors, width]``, ``[E]``.
        offsets: where each token's codes begin, those that fill the shape, and the end, ``[tokens + 2]``.
        order: codes sorted by ``place``, ``[E]``.
        segments: where the codes of each entry begin in ``order``, and the end, ``[vectors * width + 2]``; the last segment is
            filling.
    """

    ids: Tensor
    values: Tensor
    place: Tensor
    offsets: Tensor
    order: Tensor
    segments: Tensor

    def take(self, u: Tensor) -> Tensor:
        """Return the entry of ``u [vectors, width]`` that each code meets, ``[E]``; its gradient is summed in a fixed order."""
        taken: Tensor = _Take.apply(u.reshape(-1), self.place, self.order, self.segments)  # type: ignore[no-untyped-call]
        return taken


class _Take(torch.autograd.Function):
    """``x[place]`` whose gradient is summed in a fixed order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, place: Tensor, order: Tensor, segments: Tensor) -> Tensor:
        ctx.save_for_backward(order, segments)
        ctx.length = len(x)
        return x.index_select(0, place)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        order, segments = ctx.saved_tensors
        summed = torch.segment_reduce(grad.index_select(0, order), "sum", offsets=segments, initial=0.0, unsafe=True)
        return summed[: ctx.length], None, None, None
