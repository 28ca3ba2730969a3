"""Displacement of the residual stream by steering: the scale on which vectors of different kinds compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from yapo.evaluation.decoding import Condition
from yapo.models.language_model import LanguageModel, causal, pad_left
from yapo.steering.interventions import Dense

CONTROL_PROMPTS = 32  # validation prompts, at most, over which the strength of a control is averaged


@dataclass(frozen=True)
class Residual:
    """The residual stream of some prompts after the steered layer.

    Attributes:
        lm, layer: the model, and the 0-based block.
        ids: the prompts, ``[prompts, tokens]``, padded on the left.
        real: True on tokens, False on padding.
        positions: position of each token in its prompt, ``[prompts, tokens]``.
        hidden: ``[prompts, tokens, d_model]``.
    """

    lm: LanguageModel
    layer: int
    ids: Tensor
    real: Tensor
    positions: Tensor
    hidden: Tensor

    @classmethod
    @torch.inference_mode()
    def of(cls, lm: LanguageModel, layer: int, prompts: Sequence[list[int]]) -> Residual:
        """Run the unsteered model up to the output of block ``layer`` (0-based)."""
        ids, real = pad_left(list(prompts), lm.tokenizer.pad, lm.device)
        positions, allowed = causal(real)
        masks = lm.masks(allowed, positions, positions)
        return cls(lm, layer, ids, real, positions, lm.blocks(lm.embed(ids), 0, layer + 1, positions, masks))

    @torch.inference_mode()
    def displacement(self, condition: Condition) -> float:
        """Return the mean norm of h' - h over the tokens that the condition steers; 0 for the unsteered model.

        An edit at a layer of its own counts as the share of the residual stream there that it moves, in units of this layer.
        """
        edit = condition.intervention
        if edit is None or condition.u is None:
            return 0.0
        live, u = self.real & (condition.steer_bos | (self.positions > 0)), condition.u.to(self.hidden.device)
        if edit.layer is None:
            return edit.displacement(self.hidden, u, live)
        there = self if edit.layer == self.layer else self._at(edit.layer)
        context = None if edit.reads is None else edit.context(self._at(edit.reads).hidden, self.ids, self.real)
        tokens = live.clone()
        if edit.answers_only:
            tokens[:, :-1] = False
        return edit.displacement(there.hidden, u, tokens, context) / there._norm(live) * self._norm(live)

    @property
    def mean_norm(self) -> float:
        """Mean norm of the states but for each prompt's first token."""
        return self._norm(self.real & (self.positions > 0))

    def _norm(self, tokens: Tensor) -> float:
        """Return the mean norm of the states of some tokens."""
        return float(self.hidden[tokens].float().norm(dim=-1).mean())

    def _at(self, layer: int) -> Residual:
        masks = self.lm.masks(causal(self.real)[1], self.positions, self.positions)
        hidden = self.lm.blocks(self.lm.embed(self.ids), 0, layer + 1, self.positions, masks)
        return replace(self, layer=layer, hidden=hidden)


def random_control(displacements: Iterable[float], d_model: int, seed: int) -> Condition:
    """Return steering along a random direction, as long as the largest of these displacements; the control of vectors."""
    direction = torch.randn(d_model, generator=torch.Generator().manual_seed(seed))
    return Condition(Dense(d_model), direction * (max(displacements, default=0.0) / float(direction.norm())))
