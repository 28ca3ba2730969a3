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

from yapo.steering.codes import Codes
from yapo.steering.store import ActivationStore

TOKENS, PREDICTED, ENTRIES = 64, 64, 8192  # sizes are multiples of these where shapes are to recur


@dataclass(frozen=True, eq=False)
class StepBatch:
    """The pairs of one step: R rows of T tokens, B pairs, V vectors, E codes, N predicting tokens.

    Attributes:
        hidden: residual stream after the steered block, ``[R, T, d_model]``.
        live: True on the tokens to steer, ``[R, T]``.
        vector: which vector moves a token, ``[R, T]``.
        positions: position of each token in its pair, ``[R, T]``.
        allowed: which keys each query may read, bool ``[R, T, T]``.
        read: the tokens whose logits predict an answer, ``[R, Q]``.
        ids, values: features and activations of the codes, token after token, ``[E]``.
        place: index of each code's entry in the flattened vectors, ``[E]``.
        offsets: where each token's codes begin, those that fill the shape, and the end, ``[R * T + 2]``.
        order: codes sorted by ``place``, ``[E]``.
        segments: where the codes of each entry begin in ``order``, and the end, ``[V * width + 2]``; the last segment is filling.
        predicts: index into the flattened ``read`` of each predicting token, ``[N]``.
        targets: the one or two tokens that it predicts, ``[N, 2]``.
        owner: which log-probability each adds to: ``2 * pair`` (chosen), ``2 * pair + 1`` (rejected), or ``2 * B``: none.
        reference: unsteered log-probabilities, ``[B, 2]``.
        pair_vector: which vector a pair belongs to, ``[B]``.
        pair: which pair a token belongs to, ``[R, T]``.
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
    pair: Tensor

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of all parts: batches of one shape can share a captured step."""
        return tuple(tuple(part.shape) for part in self.parts())

    def parts(self) -> list[Tensor]:
        """All tensors, in order."""
        return [getattr(self, item.name) for item in fields(self)]

    def to(self, device: torch.device) -> StepBatch:
        """The same batch on another device."""
        return StepBatch(*(part.to(device, non_blocking=True) for part in self.parts()))

    def pinned(self) -> StepBatch:
        """The same batch in memory from which a GPU copies while the host goes on."""
        return StepBatch(*(part.pin_memory() for part in self.parts()))

    def copy_(self, other: StepBatch) -> None:
        """Take over the contents of a batch of the same shape."""
        for mine, new in zip(self.parts(), other.parts(), strict=True):
            mine.copy_(new, non_blocking=True)


def lay_out(
    store: ActivationStore,
    codes: Sequence[Codes] | None,
    rows: Sequence[int],
    vectors: Sequence[int],
    number: int,
    width: int,
    steer_bos: bool,
    rounded: bool,
) -> StepBatch:
    """Lay out some pairs of a store.

    Args:
        store: the pairs.
        codes: of every pair, as the trained features are numbered; None for a dense edit.
        rows: the pairs.
        vectors: which vector each is moved by.
        number: how many vectors there are, V.
        width: entries of a vector.
        steer_bos: whether the first token is steered.
        rounded: round sizes up, so that shapes recur.
    """
    batch, hidden = store.batch(rows)
    of_pair = torch.tensor(vectors)
    t = hidden.shape[1]
    wide = _up(t, TOKENS) if rounded else t
    grown = (0, wide - t)
    hidden = torch.nn.functional.pad(hidden, (0, 0, *grown))
    pair, positions = (torch.nn.functional.pad(part, grown) for part in (batch.pair, batch.positions))
    real = torch.nn.functional.pad(batch.real, grown)
    allowed = torch.nn.functional.pad(batch.allowed, (*grown, *grown)) | torch.eye(wide, dtype=torch.bool)
    live = real if steer_bos else real & (positions > 0)
    vector = of_pair[pair]
    entries = _entries(codes, rows, batch, vector, wide, number * width, width, rounded)
    predicting = _predicting(batch, len(rows), rounded)
    read = batch.read
    if rounded:
        read = torch.nn.functional.pad(read, (0, _up(read.shape[1], PREDICTED) - read.shape[1]))
        old = batch.read.shape[1]
        moved = predicting[0]
        predicting = (moved // old * read.shape[1] + moved % old, *predicting[1:])
    reference = store.reference[list(rows)]
    return StepBatch(hidden, live, vector, positions, allowed, read, *entries, *predicting, reference, of_pair, pair)


def _entries(
    codes: Sequence[Codes] | None,
    rows: Sequence[int],
    batch: object,
    vector: Tensor,
    wide: int,
    flat: int,
    width: int,
    rounded: bool,
) -> tuple[Tensor, ...]:
    """ids, values, place, offsets, order, segments."""
    none = torch.zeros(0, dtype=torch.long)
    if codes is None:
        return none, torch.zeros(0), none, none, none, none
    packed = Codes.packed([codes[i] for i in rows], batch)  # type: ignore[arg-type]
    counts = torch.nn.functional.pad(packed.counts, (0, wide - packed.counts.shape[1])).reshape(-1)
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
    return ids, values, place.clamp_max(flat - 1), offsets, order, segments


def _predicting(batch: object, pairs: int, rounded: bool) -> tuple[Tensor, Tensor, Tensor]:
    """predicts, targets, owner: the last prompt token predicts the first token of both answers, every other token one."""
    source, target, owner = batch.source, batch.target, batch.owner  # type: ignore[attr-defined]
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
