"""Conditions under which prompts are answered, and the scaled vectors of those that share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from yapo.steering.interventions import EditState, Intervention
from yapo.steering.token_edits import TokenEdit


@dataclass(frozen=True, eq=False)
class Condition:
    """One way to answer: unsteered (no intervention), or steered by the scaled vector ``u`` (λ·v, ``[width]``) at every token.

    ``steer_bos`` says whether the first token is steered too. The intervention may say that prompts are left alone but for
    their last token.
    """

    intervention: Intervention | None = None
    u: Tensor | None = None
    steer_bos: bool = False

    def scaled(self, factor: float) -> Condition:
        """Return the same with ``factor`` times ``u``."""
        return self if self.u is None else replace(self, u=factor * self.u)


@dataclass(frozen=True, eq=False)
class Steering:
    """Scaled vectors of the conditions that share an intervention, as prompts need them."""

    whole: Intervention
    intervention: Intervention
    state: EditState
    index_of: dict[int, int]
    steer_bos: bool

    @classmethod
    def of_all(
        cls, conditions: Sequence[Condition], interventions: Sequence[Intervention], device: torch.device
    ) -> list[Steering | None]:
        """Return the steering of each condition; None where it is unsteered."""
        found: list[Steering | None] = [None] * len(conditions)
        for one in interventions:
            for steer_bos in (False, True):
                members = [
                    i for i, c in enumerate(conditions) if c.intervention is one and c.u is not None and c.steer_bos is steer_bos
                ]
                if not members:
                    continue
                us = torch.stack([u for u in (conditions[i].u for i in members) if u is not None])
                narrow, u = one.to(device).restrict(us.to(device))
                steering = cls(one, narrow, narrow.edit_state(u), {c: k for k, c in enumerate(members)}, steer_bos)
                for i in members:
                    found[i] = steering
        return found

    def live(self, real: Tensor, positions: Tensor, last: Tensor) -> Tensor:
        """Return True on the tokens to steer, ``[rows, tokens]``.

        Args:
            real: False on padding, ``[rows, tokens]``.
            positions: position of each token, ``[rows, tokens]``.
            last: position of the last prompt token, ``[rows, 1]``.
        """
        live = real & (self.steer_bos | (positions > 0))
        return live & (positions >= last) if self.intervention.answers_only else live


def by_layers(conditions: Sequence[Condition], layer: int) -> dict[tuple[int, int | None], list[int]]:
    """Return conditions by the layer that they edit and the one at which they read the prompt; unsteered ones join the first."""
    places: list[tuple[int, int | None] | None] = []
    for condition in conditions:
        if condition.intervention is None or condition.u is None:
            places.append(None)
        elif condition.intervention.layer is None:
            places.append((layer, None))
        else:
            places.append((condition.intervention.layer, condition.intervention.reads))
    default = next((layers for layers in places if layers is not None), (layer, None))
    found: dict[tuple[int, int | None], list[int]] = {}
    for i, layers in enumerate(places):
        found.setdefault(layers or default, []).append(i)
    return found


def grouped(steering: Sequence[Steering | None]) -> list[int]:
    """Return conditions in an order in which those that share a steering follow one another."""
    seen: dict[int, list[int]] = {}
    for i, one in enumerate(steering):
        seen.setdefault(id(one), []).append(i)
    return [i for group in seen.values() for i in group]


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
        for slot, (intervention, vector) in enumerate(zip(interventions, us, strict=True)):
            if intervention is one and vector is not None:
                u[slot] = vector.to(device)
        found.append((one, one.to(device).token_edit(u, rows, dtype)))
    return found
