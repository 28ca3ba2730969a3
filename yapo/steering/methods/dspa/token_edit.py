"""DSPA's edit of one token a row, in fixed shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from yapo.steering.token_edits import TokenEdit

if TYPE_CHECKING:
    from yapo.steering.methods.dspa.edit import Conditional


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
