"""Minibatches laid out ahead of their step, in shapes that recur.

Everything of a step that does not depend on the vectors is decided by the seed: which pairs, where their tokens stand, which
features fire on them, what is predicted from where. ``StepBatch`` holds it as plain tensors whose sizes are rounded up, so that
few shapes occur and a captured step can be replayed on the next batch. What is added to fill a shape changes no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from yapo.steering.activations import ActivationStore
from yapo.steering.pair_batch import PairBatch
from yapo.steering.sparse_codes import FixedCodes, SparseCodes

TOKENS, PREDICTED, ENTRIES = 64, 64, 8192  # sizes are multiples of these where shapes are to recur


@dataclass(frozen=True)
class VectorPairs:
    """The pairs of a step that move one vector, as rows of the store, their direction d, and λ of u = dλv."""

    rows: list[int]
    d: int
    multiplier: float = 1.0


@dataclass(frozen=True, eq=False)
class StepBatch:
    """The pairs of one step: R rows of T tokens, B pairs, V vectors, N predicting tokens.

    Attributes:
        hidden: residual stream after the steered block, ``[R, T, d_model]``.
        live: True on the tokens to steer, ``[R, T]``.
        vector: which vector moves a token, ``[R, T]``.
        positions: position of each token in its pair, ``[R, T]``.
        allowed: which keys each query may read, bool ``[R, T, T]``.
        read: the tokens whose logits predict an answer, ``[R, Q]``.
        ids, values, place, offsets, order, segments: see ``FixedCodes``; empty where codes are not read.
        predicts: index into the flattened ``read`` of each predicting token, ``[N]``.
        targets: the one or two tokens that it predicts, ``[N, 2]``.
        owner: which log-probability each adds to: ``2 * pair`` (chosen), ``2 * pair + 1`` (rejected), or ``2 * B``: none.
        reference: unsteered log-probabilities, ``[B, 2]``.
        pair_vector: which vector a pair belongs to, ``[B]``.
        signs: d of each vector, ``[V]``.
        scale: what multiplies each vector, d included, ``[V]``.
    """

    hidden: Tensor
    live: Tensor
    vector: Tensor
    positions: Tensor
    allowed: Tensor
    read: Tensor
    ids: Tensor
    values: Tensor
    place: Tensor
    offsets: Tensor
    order: Tensor
    segments: Tensor
    predicts: Tensor
    targets: Tensor
    owner: Tensor
    reference: Tensor
    pair_vector: Tensor
    signs: Tensor
    scale: Tensor

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of all parts: batches of one shape can share a captured step."""
        return tuple(tuple(part.shape) for part in self.parts())

    @property
    def codes(self) -> FixedCodes:
        """The codes of its tokens."""
        return FixedCodes(self.ids, self.values, self.place, self.offsets, self.order, self.segments)

    def parts(self) -> list[Tensor]:
        """Return all tensors, in order."""
        return [getattr(self, item.name) for item in fields(self)]

    def to(self, device: torch.device) -> StepBatch:
        """Return the same batch on another device."""
        return StepBatch(*(part.to(device, non_blocking=True) for part in self.parts()))

    def pinned(self) -> StepBatch:
        """Return the same batch in memory from which a GPU copies while the host goes on."""
        return StepBatch(*(part.pin_memory() for part in self.parts()))

    def copy_(self, other: StepBatch) -> None:
        """Take over the contents of a batch of the same shape."""
        for mine, new in zip(self.parts(), other.parts(), strict=True):
            mine.copy_(new, non_blocking=True)


def build_step_batch(
    store: ActivationStore,
    codes: Sequence[SparseCodes] | None,
    work: Sequence[VectorPairs],
    width: int,
    steer_bos: bool,
    rounded: bool,
    tokens: int = 0,
) -> StepBatch:
    """Lay out some pairs of a store.

    Args:
        store: the pairs.
        codes: of every pair, as the trained features are numbered; None where the edit reads none.
        work: the pairs of each vector.
        width: entries of a vector.
        steer_bos: whether the first token is steered.
        rounded: round sizes up, so that shapes recur.
        tokens: shortest row.
    """
    rows = [row for part in work for row in part.rows]
    number = len(work)
    longest = max(tokens, *(len(store.hidden[row]) for row in rows))
    wide = _up(longest, TOKENS) if rounded else longest
    batch, hidden = store.batch(rows, wide)
    of_pair = torch.arange(number).repeat_interleave(torch.tensor([len(part.rows) for part in work]))
    live = batch.real if steer_bos else batch.real & (batch.positions > 0)
    vector = of_pair[batch.pair]
    entries = _entries(codes, rows, batch, vector, number, width, rounded)
    predicting = _predicting(batch, len(rows), rounded)
    read = batch.read
    if rounded:
        read = torch.nn.functional.pad(read, (0, _up(read.shape[1], PREDICTED) - read.shape[1]))
        old = batch.read.shape[1]
        moved = predicting[0]
        predicting = (moved // old * read.shape[1] + moved % old, *predicting[1:])
    signs = torch.tensor([part.d for part in work], dtype=torch.float32)
    scale = signs * torch.tensor([part.multiplier for part in work])
    place = (hidden, live, vector, batch.positions, batch.allowed, read)
    decided = (store.reference[rows], of_pair, signs, scale)
    return StepBatch(*(*place, *entries, *predicting, *decided))


def _entries(
    codes: Sequence[SparseCodes] | None,
    rows: list[int],
    batch: PairBatch,
    vector: Tensor,
    number: int,
    width: int,
    rounded: bool,
) -> FixedCodes:
    none = torch.zeros(0, dtype=torch.long)
    if codes is None:
        return FixedCodes(none, torch.zeros(0), none, none, none, none)
    packed = SparseCodes.packed([codes[i] for i in rows], batch)
    counts, flat = packed.counts.reshape(-1), number * width
    size = len(packed.ids)
    room = _up(size, ENTRIES) if rounded else size
    of_entry = vector.reshape(-1).repeat_interleave(counts)
    ids = torch.nn.functional.pad(packed.ids, (0, room - size))
    values = torch.nn.functional.pad(packed.values, (0, room - size))
    place = torch.nn.functional.pad(of_entry * width + packed.ids, (0, room - size), value=flat)
    ends = counts.cumsum(0)
    offsets = torch.cat([ends.new_zeros(1), ends, ends.new_full((1,), room)])
    order = place.argsort(stable=True)
    per_place = torch.bincount(place, minlength=flat + 1)
    segments = torch.cat([none.new_zeros(1), per_place.cumsum(0)])
    return FixedCodes(ids, values, place.clamp_max(flat - 1), offsets, order, segments)


def _predicting(batch: PairBatch, pairs: int, rounded: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return predicts, targets and owner: the last prompt token predicts the first of both answers, every other token one."""
    source, target, owner = batch.source, batch.target, batch.owner
    tokens, inverse = torch.unique(source, return_inverse=True)
    n = _up(len(tokens), PREDICTED) if rounded else len(tokens)
    first = torch.zeros(len(tokens), dtype=torch.long).scatter_reduce(
        0, inverse, torch.arange(len(source)), "amin", include_self=False
    )
    second = torch.zeros(len(tokens), dtype=torch.long).scatter_reduce(
        0, inverse, torch.arange(len(source)), "amax", include_self=False
    )
    targets = torch.zeros(n, 2, dtype=torch.long)
    owners = torch.full((n, 2), 2 * pairs)
    k = len(tokens)
    targets[:k, 0], owners[:k, 0] = target[first], owner[first]
    twice = (second != first).nonzero()[:, 0]
    targets[twice, 1], owners[twice, 1] = target[second[twice]], owner[second[twice]]
    return torch.nn.functional.pad(tokens, (0, n - k)), targets, owners


def _up(size: int, grain: int) -> int:
    return -(-size // grain) * grain
