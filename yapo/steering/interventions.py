"""Interventions: edits of the residual stream h after block L.

Dense (CAA, BiPO):   h' = h + u                                                        u = d·λ·v in R^d
Sparse (SAS, YaPO):  h' = Dec(ReLU(s + u)) + (h - Dec(s)),  s = Enc(h)                  u = d·λ·v in R^k   (YaPO eq. 3)

The decoder is linear, so its bias and the reconstruction cancel, and with ReLU

    h' = h + ReLU(u)·W_dec + Σ_{j: s_j > 0} [ReLU(s_j + u_j) - s_j - ReLU(u_j)]·W_dec[j],

one vector per u plus a sum over the few features that fire on a token, of which only those with u_j ≠ 0 count.
``Sparse`` computes this form; ``sparse_edit_plain`` is eq. 3 as written, and the tests hold the two equal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.models.template import Template
from yapo.steering.sparse_codes import FixedCodes, SparseCodes
from yapo.steering.token_edits import DenseToken, SparseToken, TokenEdit

Threshold = Literal["relu", "jumprelu"]


@dataclass(frozen=True)
class EditState:
    """Scaled vectors (λ·v) ready to be applied: several at once, each row of a batch moved by one of them.

    Attributes:
        u: one scaled vector each, ``[vectors, width]`` float32.
        everywhere: what each adds to every steered token, ``[vectors, d_model]``.
    """

    u: Tensor
    everywhere: Tensor


class Intervention(ABC):
    """An edit of h by a scaled vector u = λ·v in some space."""

    width: int
    digest: str  # identifies what is computed, beside u
    layer: int | None = None  # 0-based block whose output is edited, where that is not for the study to say
    reads: int | None = None  # 0-based block whose output on the prompt decides the edit (``context``), if any does
    template: Template  # of the prompts that it reads; set where ``reads`` is
    answers_only: bool = False  # edits the last prompt token and what follows, no other prompt token

    def context(self, hidden: Tensor, ids: Tensor, prompt: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return what an edit needs to know of a whole prompt, ``[rows, ...]``; None where ``reads`` is.

        Args:
            hidden: residual stream after block ``reads``, ``[rows, tokens, d_model]``.
            ids: token ids, ``[rows, tokens]``.
            prompt: True on the prompt's tokens, False on padding and on what has been answered, ``[rows, tokens]``.
        """
        return None

    @abstractmethod
    def codes(self, hidden: Tensor) -> SparseCodes | None:
        """Return what an edit needs to know of h ``[rows, tokens, d_model]`` and can be computed once."""

    @abstractmethod
    def edit_state(self, u: Tensor) -> EditState:
        """Ready ``u [vectors, width]`` to be applied; gradients flow through it."""

    @abstractmethod
    def edit(
        self,
        hidden: Tensor,
        codes: SparseCodes | None,
        state: EditState,
        owner: Tensor,
        live: Tensor,
        context: Tensor | None = None,
    ) -> Tensor:
        """Return h'.

        Args:
            hidden: residual stream ``[rows, tokens, d_model]``.
            codes: what ``codes`` returned for these rows.
            state: what ``edit_state`` returned.
            owner: which scaled vector moves a token, ``[rows, tokens]``; ``[rows, 1]`` where a row's tokens share one.
            live: True on tokens to steer, ``[rows, tokens]``.
            context: what ``context`` returned for the prompts of these rows.
        """

    @abstractmethod
    def restrict(self, u: Tensor) -> tuple[Intervention, Tensor]:
        """Return the same edit by these ``u [vectors, width]`` alone, as cheap as they allow, and u in its narrower space."""

    @abstractmethod
    def token_edit(self, u: Tensor, rows: int, dtype: torch.dtype) -> TokenEdit:
        """Return the same edit for one token a row, in fixed shapes, for decoding.

        Args:
            u: by condition, ``[conditions, width]`` float32; 0 for conditions of other edits.
            rows: how many rows there are.
            dtype: of the model.
        """

    def compact(self, codes: list[SparseCodes]) -> tuple[Intervention, list[SparseCodes] | None]:  # noqa: ARG002
        """Return the edit that training from u = 0 needs on tokens with these codes, and the codes as it reads them."""
        return self, None

    def code_terms(self, codes: FixedCodes, u: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return what features that fire add to h beside ``EditState.everywhere``, in fixed shapes; None if they add nothing.

        Args:
            codes: of a training step; its last row fills the shape.
            u: scaled vectors, ``[vectors, width]``.

        Returns:
            ``[tokens + 1, d_model]``.
        """
        return None

    def expand(self, u: Tensor) -> Tensor:
        """Return what a ``compact`` intervention learned, in the space of the one that it came from."""
        return u

    def to(self, device: torch.device) -> Intervention:  # noqa: ARG002
        """Return the same edit on another device."""
        return self

    def changes(self, hidden: Tensor, u: Tensor, live: Tensor, context: Tensor | None = None) -> Tensor:
        """Return h' - h, ``[n, d_model]``, at the live tokens of ``hidden``, all displaced by ``u [width]``; see ``edit``."""
        intervention, narrow = self.restrict(u[None])
        owner = torch.zeros(len(hidden), 1, dtype=torch.long, device=hidden.device)
        edited = intervention.edit(hidden, intervention.codes(hidden), intervention.edit_state(narrow), owner, live, context)
        return (edited - hidden)[live].float()

    def displacement(self, hidden: Tensor, u: Tensor, live: Tensor, context: Tensor | None = None) -> float:
        """Return the mean norm of ``changes``."""
        return float(self.changes(hidden, u, live, context).norm(dim=-1).mean())


class Dense(Intervention):
    """h' = h + u."""

    def __init__(self, d_model: int) -> None:
        self.width = d_model
        self.digest = "dense"

    def codes(self, hidden: Tensor) -> None:
        """See ``Intervention.codes``: nothing is needed."""

    def edit_state(self, u: Tensor) -> EditState:
        """See ``Intervention.edit_state``."""
        return EditState(u, u)

    def edit(
        self,
        hidden: Tensor,
        codes: SparseCodes | None,  # noqa: ARG002
        state: EditState,
        owner: Tensor,
        live: Tensor,
        context: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """See ``Intervention.edit``."""
        moved = hidden.float() + state.everywhere[owner]
        return torch.where(live[..., None], moved.to(hidden.dtype), hidden)

    def token_edit(self, u: Tensor, rows: int, dtype: torch.dtype) -> DenseToken:  # noqa: ARG002
        """See ``Intervention.token_edit``."""
        return DenseToken(u)

    def restrict(self, u: Tensor) -> tuple[Dense, Tensor]:
        """See ``Intervention.restrict``: there are no parts."""
        return self, u


class Sparse(Intervention):
    """YaPO eq. 3 in its cancelled form.

    Args:
        sae: the autoencoder.
        threshold: what follows the addition: "relu" as YaPO, or "jumprelu" to keep the SAE's own threshold as SAS does.
        features: the features that u speaks of, ascending, ``[width]``; all of them if None. The others keep u_j = 0.
        device: where edits happen; the autoencoder's if None. Only ``features`` are copied there.
    """

    def __init__(
        self, sae: SAE, threshold: Threshold = "relu", features: Tensor | None = None, device: torch.device | None = None
    ) -> None:
        self.sae, self.threshold = sae, threshold
        self.features = None if features is None else features.to(sae.W_dec.device)
        self.device = sae.W_dec.device if device is None else device
        self.width = sae.d_sae if features is None else len(features)
        self.digest = f"{sae.digest} {threshold}"

    @cached_property
    def decoder(self) -> Tensor:
        """Decoder rows ``[width, d_model]``."""
        return (self.sae.W_dec if self.features is None else self.sae.W_dec[self.features]).to(self.device)

    @cached_property
    def theta(self) -> Tensor | None:
        """Thresholds that follow the addition, ``[width]``; None for ReLU."""
        if self.threshold == "relu" or self.sae.threshold is None:
            return None
        return (self.sae.threshold if self.features is None else self.sae.threshold[self.features]).to(self.device)

    @cached_property
    def encoder(self) -> SAE:
        """The columns of ``features`` alone, except for TopK, whose features compete."""
        whole = self.features is None or self.sae.activation == "topk"
        return (self.sae if whole or self.features is None else self.sae.columns(self.features)).to(self.device)

    def codes(self, hidden: Tensor) -> SparseCodes:
        """Return the features that fire on each token, numbered as in u."""
        codes = SparseCodes.of(self.encoder, hidden)
        return (
            codes
            if self.features is None or self.encoder.d_sae == self.width
            else codes.restricted(self.features.to(self.device))
        )

    def compact(self, codes: list[SparseCodes]) -> tuple[Sparse, list[SparseCodes]]:
        """Keep only features that fire on some token. The others never leave 0: where s_j = u_j = 0, the slope of ReLU is 0."""
        fires = torch.zeros(self.sae.d_sae, dtype=torch.bool)
        for part in codes:
            fires[part.ids.long()] = True
        if not fires.any():
            raise YapoError(f"{self.sae.source}: no feature fires on any training token; check that it was made for this model")
        features = fires.nonzero()[:, 0]
        place = fires.cumsum(dim=0) - 1
        renumbered = [SparseCodes(place[part.ids.long()].int(), part.values, part.counts) for part in codes]
        return self.restricted(features), renumbered

    def to(self, device: torch.device) -> Sparse:
        """See ``Intervention.to``."""
        return Sparse(self.sae, self.threshold, self.features, device)

    def expand(self, u: Tensor) -> Tensor:
        """Return u over ``features`` as u over the whole autoencoder: ``[..., width]`` to ``[..., d_sae]``."""
        if self.features is None:
            return u
        return u.new_zeros(*u.shape[:-1], self.sae.d_sae).index_copy(-1, self.features.to(u.device), u)

    def restricted(self, features: Tensor) -> Sparse:
        """Return the same edit for u over some features of the whole autoencoder, ascending; the others keep u_j = 0."""
        return Sparse(self.sae, self.threshold, features, self.device)

    def edit_state(self, u: Tensor) -> EditState:
        """See ``Intervention.edit_state``: ReLU(u)·W_dec is what a token gets where no touched feature fires."""
        return EditState(u, self._activate(u, self.theta) @ self.decoder)

    def edit(
        self,
        hidden: Tensor,
        codes: SparseCodes | None,
        state: EditState,
        owner: Tensor,
        live: Tensor,
        context: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """See ``Intervention.edit``."""
        assert codes is not None
        of_token = owner.expand(codes.counts.shape).reshape(-1)
        of_entry = of_token.repeat_interleave(codes.counts.reshape(-1), output_size=len(codes.ids))
        u = state.u.reshape(-1).index_select(0, of_entry * self.width + codes.ids)
        correction = self.correction(codes.values, u, codes.ids)
        summed = self._decoded(codes.ids, codes.offsets(), correction)
        moved = hidden.float() + state.everywhere[owner] + summed.reshape(hidden.shape)
        if not state.u.requires_grad:  # u = 0 is the identity, bit for bit
            live = live & (state.u != 0).any(dim=1)[owner]
        return torch.where(live[..., None], moved.to(hidden.dtype), hidden)

    def code_terms(self, codes: FixedCodes, u: Tensor) -> Tensor:
        """See ``Intervention.code_terms``."""
        correction = self.correction(codes.values, codes.take(u), codes.ids)
        return self._decoded(codes.ids, codes.offsets, correction)

    def _decoded(self, ids: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        """Sum weighted decoder rows of each token, ``[tokens, d_model]``."""
        return nn.functional.embedding_bag(
            ids, self.decoder, offsets, per_sample_weights=weights, mode="sum", include_last_offset=True
        )

    def correction(self, values: Tensor, u: Tensor, ids: Tensor) -> Tensor:
        """Return what a feature that fires adds to the sum in the cancelled form, beyond ReLU(u)·W_dec, ``[entries]``.

        Args:
            values: its activations s_j, ``[entries]``.
            u: u_j, ``[entries]``.
            ids: j, ``[entries]``.
        """
        theta = None if self.theta is None else self.theta[ids]
        return self._activate(values + u, theta) - values - self._activate(u, theta)

    def token_edit(self, u: Tensor, rows: int, dtype: torch.dtype) -> SparseToken:  # noqa: ARG002
        """See ``Intervention.token_edit``."""
        narrow, u = self.restrict(u)
        return SparseToken(narrow, u, dtype)

    def restrict(self, u: Tensor) -> tuple[Sparse, Tensor]:
        """Encode and decode only the features that some u touches: exact, since the others cancel."""
        touched = (u != 0).any(dim=0).nonzero()[:, 0]
        if len(touched) == 0 or len(touched) == self.width:
            return self, u
        features = touched if self.features is None else self.features[touched.to(self.features.device)]
        return self.restricted(features), u[:, touched]

    @staticmethod
    def _activate(x: Tensor, theta: Tensor | None) -> Tensor:
        return torch.relu(x) if theta is None else x * (x > theta)


def sparse_edit_plain(sae: SAE, hidden: Tensor, u: Tensor) -> Tensor:
    """Return ``Dec(ReLU(Enc(h) + u)) + (h - Dec(Enc(h)))``, YaPO eq. 3, for ``h [..., d_model]`` and ``u [d_sae]``."""
    codes = sae.encode(hidden)
    return sae.decode(torch.relu(codes + u)) + (hidden - sae.decode(codes))
