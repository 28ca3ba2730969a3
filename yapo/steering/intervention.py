"""What steering does to the residual stream h after block L.

Dense (CAA, BiPO):   h' = h + u                                                        u = d·λ·v in R^d
Sparse (SAS, YaPO):  h' = Dec(ReLU(s + u)) + (h - Dec(s)),  s = Enc(h)                  u = d·λ·v in R^k   (YaPO eq. 3)

The decoder is linear, so its bias and the reconstruction cancel, and with ReLU

    h' = h + ReLU(u)·W_dec + Σ_{j: s_j > 0} [ReLU(s_j + u_j) - s_j - ReLU(u_j)]·W_dec[j],

one vector per u plus a sum over the few features that fire on a token. ``Sparse.edit`` computes this form;
``sparse_edit_plain`` is eq. 3 as written, and the tests hold the two equal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from yapo.models.sae import SAE


@dataclass(frozen=True)
class Codes:
    """The features that fire on each token: ids and values ``[rows, tokens, most]``, zero-padded with value 0."""

    ids: Tensor
    values: Tensor

    def __getitem__(self, rows: Tensor) -> Codes:
        return Codes(self.ids[rows], self.values[rows])


class Intervention(ABC):
    """How a displacement u in some space changes h. One u per row; ``live`` marks the tokens that are steered."""

    width: int
    digest: str  # identifies what is computed, beside u

    @abstractmethod
    def prepare(self, hidden: Tensor) -> Codes | None:
        """What an edit needs to know of h and can be computed once."""

    @abstractmethod
    def edit(self, hidden: Tensor, codes: Codes | None, u: Tensor, live: Tensor) -> Tensor:
        """Return h'.

        Args:
            hidden: residual stream ``[rows, tokens, d_model]``.
            codes: what ``prepare`` returned for these rows.
            u: displacement of each row, ``[rows, width]``, float32.
            live: True on tokens to steer, ``[rows, tokens]``.
        """


class Dense(Intervention):
    """h' = h + u."""

    def __init__(self, d_model: int) -> None:
        self.width = d_model
        self.digest = "dense"

    def prepare(self, hidden: Tensor) -> None:
        """A dense edit needs nothing."""

    def edit(self, hidden: Tensor, codes: Codes | None, u: Tensor, live: Tensor) -> Tensor:  # noqa: ARG002
        """See ``Intervention.edit``."""
        change = u[:, None, :] * live[..., None]
        return (hidden.float() + change).to(hidden.dtype)


class Sparse(Intervention):
    """YaPO eq. 3 in its cancelled form. ``threshold``: "relu" as YaPO, or "jumprelu" to keep the SAE's own as SAS does."""

    def __init__(self, sae: SAE, threshold: str = "relu") -> None:
        self.sae = sae
        self.width = sae.d_sae
        self.threshold = threshold
        self.digest = f"{sae.digest} {threshold}"
        self.theta = sae.threshold if threshold == "jumprelu" else None

    def prepare(self, hidden: Tensor) -> Codes:
        """The features that fire on each token."""
        return Codes(*self.sae.encode_sparse(hidden))

    def edit(self, hidden: Tensor, codes: Codes | None, u: Tensor, live: Tensor) -> Tensor:
        """See ``Intervention.edit``."""
        assert codes is not None
        rows, tokens, most = codes.ids.shape
        gathered = u.gather(1, codes.ids.reshape(rows, tokens * most)).reshape(codes.ids.shape)
        silent = self._activate(u, self.theta)
        silent_gathered = silent.gather(1, codes.ids.reshape(rows, tokens * most)).reshape(codes.ids.shape)
        theta = None if self.theta is None else self.theta[codes.ids]
        fires = codes.values > 0
        correction = (self._activate(codes.values + gathered, theta) - codes.values - silent_gathered) * fires
        summed = nn.functional.embedding_bag(
            codes.ids.reshape(-1, most), self.sae.W_dec, per_sample_weights=correction.reshape(-1, most), mode="sum"
        )
        change = (silent @ self.sae.W_dec)[:, None, :] + summed.reshape(rows, tokens, -1)
        steered = live & (u != 0).any(dim=1, keepdim=True) if not u.requires_grad else live
        return torch.where(steered[..., None], (hidden.float() + change).to(hidden.dtype), hidden)

    @staticmethod
    def _activate(x: Tensor, theta: Tensor | None) -> Tensor:
        return torch.relu(x) if theta is None else x * (x > theta)


def sparse_edit_plain(sae: SAE, hidden: Tensor, u: Tensor) -> Tensor:
    """YaPO eq. 3 as written: ``Dec(ReLU(Enc(h) + u)) + (h - Dec(Enc(h)))`` for ``h [..., d_model]`` and ``u [d_sae]``."""
    codes = sae.encode(hidden)
    return sae.decode(torch.relu(codes + u)) + (hidden - sae.decode(codes))


def mean_displacement(intervention: Intervention, hidden: Tensor, u: Tensor) -> float:
    """Mean norm of h' - h over the tokens of ``hidden [rows, tokens, d_model]``, all displaced by ``u [width]``."""
    live = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
    edited = intervention.edit(hidden, intervention.prepare(hidden), u.expand(len(hidden), -1), live)
    return float((edited - hidden).float().norm(dim=-1).mean())
