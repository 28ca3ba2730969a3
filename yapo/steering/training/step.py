"""One training step on a batch laid out ahead: no data-dependent shape, no synchronisation, no atomic addition.

``yapo.steering.objective.steer_pairs`` is the plain twin; ``tests/steering/training/test_step.py`` holds losses and gradients
equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from yapo.steering.interventions import Intervention
from yapo.steering.objective import Objective, PairLogProbs
from yapo.steering.training.step_batch import StepBatch

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel


@dataclass(frozen=True)
class StepResult:
    """Losses and what is logged.

    Attributes:
        losses: mean loss of each vector's pairs, ``[V]``; gradients flow to the vectors.
        margins: mean margin of each vector's pairs, ``[V]``.
        displacement: mean norm of the change over each vector's steered tokens, ``[V]``.
    """

    losses: Tensor
    margins: Tensor
    displacement: Tensor


def edited(intervention: Intervention, batch: StepBatch, u: Tensor) -> Tensor:
    """Return h' of a batch, each token steered by the ``u [V, width]`` of its vector; see ``Intervention.edit``."""
    state = intervention.edit_state(u)
    moved = batch.hidden.float() + _everywhere(state.everywhere, batch.vector)
    summed = intervention.code_terms(batch.codes, state.u)
    if summed is not None:
        moved = moved + summed[:-1].view(moved.shape)
    return torch.where(batch.live[..., None], moved.to(batch.hidden.dtype), batch.hidden)


def _everywhere(each: Tensor, vector: Tensor) -> Tensor:
    """Return ``each[vector]``, whose gradient is a product instead of an addition token by token."""
    if len(each) == 1:
        return each
    return (vector[..., None] == torch.arange(len(each), device=each.device)).float() @ each


def step(
    lm: LanguageModel,
    layer: int,
    intervention: Intervention,
    batch: StepBatch,
    vectors: Tensor,
    objective: Objective,
    compiled: bool = False,
) -> StepResult:
    """Run the blocks above ``layer`` over a batch.

    Args:
        intervention: as wide as the vectors.
        batch: on the model's device.
        vectors: v, ``[V, width]``.
        objective: what the losses are.
        compiled: see ``LanguageModel.blocks``.
    """
    u = batch.scale[:, None] * vectors
    hidden = edited(intervention, batch, u)
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    top = lm.blocks(hidden, layer + 1, lm.n_layers, batch.positions, masks, read=batch.read, compiled=compiled)
    log_probs = lm.pair_log_probs(top.reshape(-1, lm.d_model).index_select(0, batch.predicts), batch.targets, compiled)
    pairs = len(batch.reference)
    member = (batch.owner.reshape(-1, 1) == torch.arange(2 * pairs, device=u.device)).float()
    summed = (log_probs.reshape(1, -1) @ member).view(pairs, 2)
    found = PairLogProbs(summed, batch.reference, member.sum(dim=0).view(pairs, 2))
    loss = objective(found, batch.signs[batch.pair_vector])
    share = (batch.pair_vector[:, None] == torch.arange(len(u), device=u.device)).float()
    share = share / share.sum(dim=0)
    with torch.no_grad():
        norms = (hidden - batch.hidden).float().norm(dim=-1).reshape(1, -1)
        tokens = (
            ((batch.vector[..., None] == torch.arange(len(u), device=u.device)) & batch.live[..., None]).float().flatten(0, 1)
        )
        displacement = (norms @ tokens)[0] / tokens.sum(dim=0)
    return StepResult(loss @ share, (found.margin @ share).detach(), displacement)
