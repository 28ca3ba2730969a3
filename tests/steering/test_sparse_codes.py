"""Operations on sparse codes against the same on dense ones."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.steering.pair_batch import TokenPair, batch_pairs
from yapo.steering.sparse_codes import SparseCodes

WIDTH = 12


def dense(codes: SparseCodes) -> torch.Tensor:
    """``[rows, tokens, WIDTH]``."""
    token = torch.repeat_interleave(torch.arange(codes.counts.numel()), codes.counts.reshape(-1).long())
    flat = torch.zeros(codes.counts.numel(), WIDTH).index_put((token, codes.ids.long()), codes.values)
    return flat.reshape(*codes.counts.shape, WIDTH)


def random_codes(seed: int, rows: int, tokens: int) -> SparseCodes:
    g = torch.Generator().manual_seed(seed)
    full = torch.rand(rows, tokens, WIDTH, generator=g) * (torch.rand(rows, tokens, WIDTH, generator=g) < 0.3)
    return SparseCodes(full.nonzero()[:, 2], full[full > 0], (full > 0).sum(dim=-1))


SHAPES = {"seed": st.integers(0, 10_000), "rows": st.integers(1, 4), "tokens": st.integers(1, 5)}


@settings(max_examples=60, deadline=None)
@given(**SHAPES, order=st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_rows(seed: int, rows: int, tokens: int, order: list[int]) -> None:
    codes, chosen = random_codes(seed, rows, tokens), torch.tensor(order) % rows
    assert torch.equal(dense(codes.rows(chosen)), dense(codes)[chosen])


@settings(max_examples=60, deadline=None)
@given(**SHAPES, features=st.sets(st.integers(0, WIDTH - 1), min_size=1))
def test_restricted(seed: int, rows: int, tokens: int, features: set[int]) -> None:
    codes, kept = random_codes(seed, rows, tokens), torch.tensor(sorted(features))
    assert torch.equal(dense(codes.restricted(kept))[..., : len(kept)], dense(codes)[..., kept])


@settings(max_examples=60, deadline=None)
@given(**SHAPES)
def test_live(seed: int, rows: int, tokens: int) -> None:
    codes = random_codes(seed, rows, tokens)
    live = torch.rand(rows, tokens, generator=torch.Generator().manual_seed(seed + 1)) < 0.5
    assert torch.equal(dense(codes.live(live)), dense(codes) * live[..., None])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), lengths=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_packed_and_offsets(seed: int, lengths: list[int]) -> None:
    parts = [random_codes(seed + i, 1, length) for i, length in enumerate(lengths)]
    batch = batch_pairs([TokenPair([1] * length, [2], [3]) for length in lengths])
    packed = SparseCodes.packed([SparseCodes(p.ids.int(), p.values, p.counts.int()) for p in parts], batch)
    assert packed.ids.dtype == packed.counts.dtype == torch.long
    assert torch.equal(dense(packed), batch.packed([dense(part)[0] for part in parts]))
    offsets = packed.offsets()
    assert offsets[0] == 0
    assert torch.equal(offsets.diff(), packed.counts.reshape(-1))
    assert offsets[-1] == len(packed.values)
