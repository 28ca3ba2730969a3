"""Edits of one token a row, in fixed shapes: dense over the features that some condition touches.

``Intervention.edit`` gathers the features that fire, which costs a synchronisation a step on a GPU. While decoding there is one
token a row, so two thin products over the touched features cost less. Each edit returns h' - h, exactly 0 for rows whose
condition it does not serve, so the edits of different methods add up and all conditions share a batch.
``tests/evaluation/test_decoding.py`` holds them equal to ``Intervention.edit``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.methods.dspa.edit import Conditional


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


class ConditionalToken(TokenEdit):
    """DSPA's edit (``yapo.steering.methods.dspa.edit``), whose features depend on the row's prompt.

    Args:
        intervention: the map with its autoencoders.
        strength: λ·α by condition, ``[conditions]``; 0 for those of other edits.
        rows: how many rows there are.
    """

    def __init__(self, intervention: Conditional, strength: Tensor, rows: int) -> None:
        self.sae, self.k_diff = intervention.sae_out, intervention.info.k_diff
        ids = torch.zeros(rows, 2 * self.k_diff, dtype=torch.long, device=strength.device)
        self.ids, self.sign = ids, torch.zeros(ids.shape, device=strength.device)
        self.tables = [strength]
        self.key = ("conditional", id(intervention.sae_out), self.k_diff, rows, len(strength))

    def __call__(self, hidden: Tensor, owner: Tensor) -> Tensor:
        """See ``TokenEdit``."""
        rows = len(hidden)
        codes = self.sae.encode(hidden)
        largest = codes.amax(dim=1, keepdim=True)
        values = codes.gather(1, self.ids[:rows])
        moved = (values + self.sign[:rows] * self.tables[0][owner][:, None] * largest).relu()
        step = torch.where((values > 0) & (self.sign[:rows] != 0), moved - values, 0.0)
        return torch.einsum("rk,rkd->rd", step, self.sae.W_dec[self.ids[:rows]])

    def admit(self, slots: Tensor, context: Tensor | None) -> None:
        """See ``TokenEdit``: a feature to ablate counts -1, one to augment +1, one in both sets 0."""
        if context is None:
            self.sign[slots] = 0.0
            return
        ablate, augment = context[:, : self.k_diff], context[:, self.k_diff :]
        shared = (ablate[:, :, None] == augment[:, None, :]) & (ablate >= 0)[:, :, None]
        alone = torch.cat([~shared.any(dim=2), ~shared.any(dim=1)], dim=1) & (context >= 0)
        way = torch.cat([-torch.ones_like(ablate), torch.ones_like(augment)], dim=1)
        self.ids[slots] = context.clamp_min(0)
        self.sign[slots] = (alone * way).float()

    def move(self, sources: Tensor) -> None:
        """See ``TokenEdit``."""
        for part in (self.ids, self.sign):
            part[: len(sources)] = part[sources]


def token_edits(
    interventions: Sequence[Intervention | None], us: Sequence[Tensor | None], rows: int, dtype: torch.dtype, device: torch.device
) -> list[tuple[Intervention, TokenEdit]]:
    """Return the edits that together serve some conditions, each with the intervention that it stands for.

    Args:
        interventions, us: of each condition; None where it is unsteered.
        rows: of the batch.
        dtype: of the model.
        device: where steps run.
    """
    room = -(-len(us) // 8) * 8
    found: list[tuple[Intervention, TokenEdit]] = []
    for one in {id(i): i for i in interventions if i is not None}.values():
        u = torch.zeros(room, one.width, device=device)
        for place, (intervention, own) in enumerate(zip(interventions, us, strict=True)):
            if intervention is one and own is not None:
                u[place] = own.to(device)
        found.append((one, _token_edit(one.to(device), u, rows, dtype)))
    return found


def _token_edit(intervention: Intervention, u: Tensor, rows: int, dtype: torch.dtype) -> TokenEdit:
    if isinstance(intervention, Dense):
        return DenseToken(u)
    if isinstance(intervention, Sparse):
        narrow, narrow_u = intervention.restrict(u)
        return SparseToken(narrow, narrow_u, dtype)
    if isinstance(intervention, Conditional):
        return ConditionalToken(intervention, u[:, 0], rows)
    raise TypeError(f"{type(intervention).__name__} has no edit for single tokens; add one to yapo.evaluation.decoding.edits")


def _room(features: int) -> int:
    """A width that many numbers of features share, so that their steps have one shape."""
    grain = 64 if features < 1024 else 1024
    return -(-features // grain) * grain


def _padded(sae: SAE, width: int) -> SAE:
    """The same autoencoder with features added that never fire."""
    if width == sae.d_sae:
        return sae
    return SAE(
        W_enc=_fill(sae.W_enc.T, width, 0.0).T.contiguous(),
        b_enc=_fill(sae.b_enc, width, -1.0),
        W_dec=sae.W_dec,
        b_dec=sae.b_dec,
        activation=sae.activation,
        threshold=None if sae.threshold is None else _fill(sae.threshold, width, torch.inf),
        k=sae.k,
        apply_b_dec_to_input=sae.apply_b_dec_to_input,
        source=sae.source,
        layer=sae.layer,
        hook_name=sae.hook_name,
        model_name=sae.model_name,
    )


def _fill(x: Tensor, length: int, value: float) -> Tensor:
    """Lengthen the first dimension."""
    return x if len(x) == length else torch.cat([x, x.new_full((length - len(x), *x.shape[1:]), value)])
