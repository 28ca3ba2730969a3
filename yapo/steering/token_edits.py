"""Edits of one token a row, in fixed shapes: dense over the features that some condition touches.

``Intervention.edit`` gathers the features that fire, which costs a synchronisation a step on a GPU. While decoding there is one
token a row, so two thin products over the touched features cost less. Each edit returns h' - h, exactly 0 for rows whose
condition it does not serve, so the edits of different methods add up and all conditions share a batch.
``tests/evaluation/test_decoding.py`` holds them equal to ``Intervention.edit``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from yapo.models.sae import SAE

if TYPE_CHECKING:
    from yapo.steering.interventions import Sparse


class TokenEdit(ABC):
    """h' - h for one token a row.

    Attributes:
        key: two edits with equal keys differ in the contents of ``tables`` only, so one captured graph serves both.
        tables: every tensor that a step reads and that conditions decide.
    """

    key: tuple[object, ...]
    tables: list[Tensor]

    @abstractmethod
    def __call__(self, hidden: Tensor, owner: Tensor) -> Tensor:
        """Return h' - h in float32, ``[rows, d_model]``.

        Args:
            hidden: the residual stream in float32, ``[rows, d_model]``.
            owner: the condition of each row, ``[rows]``.
        """

    def admit(self, slots: Tensor, context: Tensor | None) -> None:  # noqa: B027
        """Note what ``Intervention.context`` said of the prompts that go into ``slots [n]``."""

    def move(self, sources: Tensor) -> None:  # noqa: B027
        """Give the first rows what the rows ``sources [n]`` hold."""

    def load(self, other: TokenEdit) -> None:
        """Take over the contents of an edit with the same key."""
        for mine, new in zip(self.tables, other.tables, strict=True):
            mine.copy_(new)


class DenseToken(TokenEdit):
    """u of the row's condition.

    Args:
        u: by condition, ``[conditions, d_model]``; 0 for those of other edits.
    """

    def __init__(self, u: Tensor) -> None:
        self.tables = [u]
        self.key = ("dense", *u.shape)

    def __call__(self, hidden: Tensor, owner: Tensor) -> Tensor:  # noqa: ARG002
        """See ``TokenEdit``."""
        return self.tables[0][owner]


class SparseToken(TokenEdit):
    """[act(s + u) - s]·W_dec over the touched features, s = Enc(h), the terms of ``yapo.steering.interventions`` taken together.

    Args:
        intervention: restricted to the touched features.
        u: by condition, ``[conditions, width]`` float32; 0 for those of other edits.
        dtype: of the two products, the model's.
    """

    def __init__(self, intervention: Sparse, u: Tensor, dtype: torch.dtype) -> None:
        sae, theta = intervention.encoder, intervention.theta
        self.features = intervention.features if sae.d_sae != intervention.width else None  # TopK encodes all of them
        encoder = sae if self.features is not None else _padded(sae, _room(sae.d_sae))
        width = intervention.width if self.features is not None else encoder.W_enc.shape[1]
        self.k, self.bias = encoder.k, sae.apply_b_dec_to_input
        decoder = _fill(intervention.decoder, width, 0.0).to(dtype)
        threshold = encoder.threshold
        self.has_threshold, self.has_theta = threshold is not None, theta is not None
        never = torch.full((), torch.inf, device=u.device)
        self.tables = [
            encoder.W_enc.to(dtype),
            encoder.b_enc,
            sae.b_dec.to(u.device),
            decoder,
            _fill(u.T, width, 0.0).T.contiguous(),
            never if threshold is None else threshold,
            never if theta is None else _fill(theta, width, 0.0),
        ]
        owned = () if self.features is None else (id(intervention.sae), tuple(self.features.tolist()))
        shapes = tuple(tuple(table.shape) for table in self.tables)
        self.key = ("sparse", encoder.activation, self.k, self.bias, self.has_threshold, self.has_theta, owned, shapes)

    def __call__(self, hidden: Tensor, owner: Tensor) -> Tensor:
        """See ``TokenEdit``."""
        w_enc, b_enc, b_dec, decoder, u_of, threshold, theta = self.tables
        x = hidden - b_dec if self.bias else hidden
        p = (x.to(w_enc.dtype) @ w_enc).float() + b_enc
        if self.k is not None:
            top = p.topk(self.k, dim=-1)
            p = torch.zeros_like(p).scatter(-1, top.indices, top.values)
        s = p.relu()
        if self.has_threshold:
            s = s * (p > threshold)
        if self.features is not None:
            s = s[:, self.features.to(s.device)]
        moved = s + u_of[owner]
        moved = moved * (moved > theta) if self.has_theta else moved.relu()
        return ((moved - s).to(decoder.dtype) @ decoder).float()


def _room(features: int) -> int:
    """Return a width that many numbers of features share, so that their steps have one shape."""
    grain = 64 if features < 1024 else 1024
    return -(-features // grain) * grain


def _padded(sae: SAE, width: int) -> SAE:
    """Return the same autoencoder with features added that never fire."""
    if width == sae.d_sae:
        return sae
    return replace(
        sae,
        W_enc=_fill(sae.W_enc.T, width, 0.0).T.contiguous(),
        b_enc=_fill(sae.b_enc, width, -1.0),
        threshold=None if sae.threshold is None else _fill(sae.threshold, width, torch.inf),
    )


def _fill(x: Tensor, length: int, value: float) -> Tensor:
    return x if len(x) == length else torch.cat([x, x.new_full((length - len(x), *x.shape[1:]), value)])
