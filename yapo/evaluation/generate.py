"""Greedy completions of many prompts under many steering conditions.

The blocks up to a steered layer read each prompt once, whatever the number of conditions: what they compute does not
depend on steering above them. Everything else is KV-cached, and rows that have ended leave the batch. An edit that depends
on the prompt (``Intervention.reads``) has its state computed with the prompt; it stays with a row to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from yapo.models.language_model import KeyValues, LanguageModel, Masks, causal, pad_left
from yapo.steering.interventions import EditState, Intervention
from yapo.steering.sparse_codes import SparseCodes


@dataclass(frozen=True, eq=False)
class Condition:
    """One way to answer: unsteered (no intervention), or displaced by ``u`` (λ·v, ``[width]``) at every token.

    ``steer_bos`` says whether the first token is displaced too. The intervention may say that prompts are left alone but for
    their last token.
    """

    intervention: Intervention | None = None
    u: Tensor | None = None
    steer_bos: bool = False

    def scaled(self, factor: float) -> Condition:
        """Return the same with ``factor`` times the displacement."""
        return self if self.u is None else replace(self, u=factor * self.u)


@dataclass(frozen=True)
class _Steering:
    """Displacements of the conditions that share an intervention; only the features that they touch are encoded."""

    intervention: Intervention
    state: EditState
    steer_bos: bool

    @classmethod
    def of(cls, conditions: list[Condition], device: torch.device) -> _Steering | None:
        """None for the unsteered condition."""
        intervention, us = conditions[0].intervention, [condition.u for condition in conditions if condition.u is not None]
        if intervention is None or not us:
            return None
        narrow, u = intervention.restrict(torch.stack(us).to(device))
        return cls(narrow, narrow.edit_state(u), conditions[0].steer_bos)

    def live(self, real: Tensor, positions: Tensor) -> Tensor:
        """The tokens of left-padded prompts that are displaced."""
        live = real & (self.steer_bos | (positions > 0))
        if self.intervention.answers_only:
            live[:, :-1] = False
        return live

    def edit(self, hidden: Tensor, codes: SparseCodes | None, owner: Tensor, live: Tensor, context: Tensor | None) -> Tensor:
        return self.intervention.edit(hidden, codes, self.state, owner, live, context)


@dataclass
class _Rows:
    """Completions in progress: one row per (condition, prompt)."""

    steering: _Steering | None
    layer: int
    context: Tensor | None  # what the edit knows of a row's prompt
    owner: Tensor  # which displacement moves a row, [rows, 1]
    real: Tensor  # tokens so far that are not padding, [rows, tokens]
    below: KeyValues
    above: KeyValues
    index: Tensor  # which completion a row is

    def keep(self, rows: Tensor) -> None:
        self.owner, self.real, self.index = self.owner[rows], self.real[rows], self.index[rows]
        self.context = None if self.context is None else self.context[rows]
        self.below, self.above = self.below.select(rows), self.above.select(rows)


@torch.inference_mode()
def complete(
    lm: LanguageModel,
    layer: int,
    prompts: Sequence[list[int]],
    conditions: Sequence[Condition],
    max_new_tokens: int,
    batch_size: int,
) -> list[list[list[int]]]:
    """Token ids of every completion, without the prompt and up to the end of the turn.

    Args:
        lm: the model.
        layer: 0-based block whose output is displaced, unless an intervention names one of its own.
        prompts: token ids.
        conditions: ways to answer.
        max_new_tokens: limit of one completion.
        batch_size: rows of one forward pass.

    Returns:
        ``[condition][prompt]``.
    """
    done: list[list[list[int]]] = [[[] for _ in prompts] for _ in conditions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    groups = [(group, _Steering.of([conditions[c] for c in group], lm.device)) for group in _by_intervention(conditions)]
    size = min(batch_size, 64)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        ids, real = pad_left([prompts[i] for i in chosen], lm.tokenizer.pad, lm.device)
        known: dict[tuple[int, int | None], _Prompts] = {}
        for group, steering in groups:
            place = _place(steering, layer)
            if place not in known:
                known[place] = _Prompts.of(lm, *place, ids, real)
            prompt = known[place]
            codes = None if steering is None else steering.intervention.codes(prompt.hidden)
            context = None if steering is None else steering.intervention.context(prompt.read, ids, real)
            per_pass = max(1, batch_size // len(chosen))
            for first in range(0, len(group), per_pass):
                part = group[first : first + per_pass]
                owner = torch.arange(first, first + len(part), device=lm.device).repeat_interleave(len(chosen))[:, None]
                rows, token = _prefill(lm, prompt, codes, context, steering, owner)
                written = _decode(lm, rows, token, max_new_tokens)
                for k, tokens in enumerate(written):
                    done[part[k // len(chosen)]][chosen[k % len(chosen)]] = tokens
    return done


@dataclass(frozen=True)
class _Prompts:
    """Prompts run up to the steered layer; ``read`` is their residual stream at the layer that an edit reads, or at this one."""

    layer: int
    real: Tensor
    positions: Tensor
    masks: Masks
    read: Tensor
    hidden: Tensor
    below: KeyValues

    @classmethod
    def of(cls, lm: LanguageModel, layer: int, reads: int | None, ids: Tensor, real: Tensor) -> _Prompts:
        positions, allowed = causal(real)
        masks, below = lm.masks(allowed, positions, positions), KeyValues()
        between = layer if reads is None else reads
        read = lm.blocks(lm.embed(ids), 0, between + 1, positions, masks, below)
        hidden = lm.blocks(read, between + 1, layer + 1, positions, masks, below) if between < layer else read
        return cls(layer, real, positions, masks, read, hidden, below)


def _place(steering: _Steering | None, layer: int) -> tuple[int, int | None]:
    """The layer that conditions edit, and the one at which they read the prompt."""
    if steering is None or steering.intervention.layer is None:
        return layer, None
    return steering.intervention.layer, steering.intervention.reads


def _prefill(
    lm: LanguageModel,
    prompt: _Prompts,
    codes: SparseCodes | None,
    context: Tensor | None,
    steering: _Steering | None,
    owner: Tensor,
) -> tuple[_Rows, Tensor]:
    """Steer the prompts by each displacement of a pass, and give the first new token of every row."""
    number = len(prompt.real)
    which = torch.arange(number, device=lm.device).repeat(len(owner) // number)
    hidden, positions, real = prompt.hidden[which], prompt.positions[which], prompt.real[which]
    context = None if context is None else context[which]
    if steering is not None:
        codes = None if codes is None else codes.rows(which)
        hidden = steering.edit(hidden, codes, owner, steering.live(real, positions), context)
    index = torch.arange(len(which), device=lm.device)
    rows = _Rows(steering, prompt.layer, context, owner, real, prompt.below.select(which), KeyValues(), index)
    last = torch.full((len(which), 1), real.shape[1] - 1, device=lm.device)
    top = lm.blocks(hidden, prompt.layer + 1, lm.n_layers, positions, prompt.masks.select(which), rows.above, read=last)
    return rows, lm.logits(top[:, -1]).argmax(dim=-1)


def _decode(lm: LanguageModel, rows: _Rows, token: Tensor, max_new_tokens: int) -> list[list[int]]:
    """Continue every row from its first new token until it ends its turn."""
    written: list[list[int]] = [[] for _ in range(len(token))]
    ends = lm.tokenizer.ends
    for step in range(max_new_tokens):
        for row, value in zip(rows.index.tolist(), token.tolist(), strict=True):
            if not written[row] or written[row][-1] not in ends:
                written[row].append(value)
        going = torch.tensor([written[row][-1] not in ends for row in rows.index.tolist()], device=token.device)
        if step == max_new_tokens - 1 or not going.any():
            break
        if going.sum() <= 0.75 * len(going):
            rows.keep(going.nonzero()[:, 0])
            token = token[going]
        token = _next_token(lm, rows, token)
    return written


def _next_token(lm: LanguageModel, rows: _Rows, token: Tensor) -> Tensor:
    """One KV-cached step of all rows."""
    rows.real = torch.cat([rows.real, torch.ones_like(rows.real[:, :1])], dim=1)
    key_positions = (rows.real.long().cumsum(dim=1) - 1).clamp_min(0)
    positions = key_positions[:, -1:]
    masks = lm.masks(rows.real[:, None, :], positions, key_positions)
    hidden = lm.blocks(lm.embed(token[:, None]), 0, rows.layer + 1, positions, masks, rows.below)
    if rows.steering is not None:
        live = torch.ones_like(token[:, None], dtype=torch.bool)
        hidden = rows.steering.edit(hidden, rows.steering.intervention.codes(hidden), rows.owner, live, rows.context)
    top = lm.blocks(hidden, rows.layer + 1, lm.n_layers, positions, masks, rows.above)
    return lm.logits(top[:, -1]).argmax(dim=-1)


def _by_intervention(conditions: Sequence[Condition]) -> list[list[int]]:
    """Indices of conditions that share an intervention and its BOS rule, in order of first appearance."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for i, condition in enumerate(conditions):
        groups.setdefault((id(condition.intervention), condition.steer_bos), []).append(i)
    return list(groups.values())
