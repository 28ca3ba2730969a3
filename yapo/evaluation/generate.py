"""Greedy completions of many prompts under many steering conditions.

The blocks up to the steered layer read each prompt once, whatever the number of conditions: what they compute does not
depend on steering above them. Everything else is KV-cached, and rows that have ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.models.language_model import KeyValues, LanguageModel, causal, pad_left
from yapo.steering.intervention import Intervention


@dataclass(frozen=True, eq=False)
class Condition:
    """One way to answer: unsteered (no intervention), or displaced by ``u`` (λ·v, ``[width]``) at every token.

    ``steer_bos`` says whether the first token is displaced too.
    """

    intervention: Intervention | None = None
    u: Tensor | None = None
    steer_bos: bool = False


@dataclass
class _Rows:
    """Completions in progress: one row per (condition, prompt)."""

    intervention: Intervention | None
    u: Tensor | None
    real: Tensor  # tokens so far that are not padding, [rows, tokens]
    below: KeyValues
    above: KeyValues
    index: Tensor  # which completion a row is

    def keep(self, rows: Tensor) -> None:
        self.u = None if self.u is None else self.u[rows]
        self.real, self.index = self.real[rows], self.index[rows]
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
        layer: 0-based block whose output is displaced.
        prompts: token ids.
        conditions: ways to answer.
        max_new_tokens: limit of one completion.
        batch_size: rows of one forward pass.

    Returns:
        ``[condition][prompt]``.
    """
    done: list[list[list[int]]] = [[[] for _ in prompts] for _ in conditions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    groups = _by_intervention(conditions)
    size = min(batch_size, 64)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        ids, real = pad_left([prompts[i] for i in chosen], lm.tokenizer.pad, lm.device)
        positions, allowed = causal(real)
        below = KeyValues()
        masks = lm.masks(allowed, positions, positions)
        hidden = lm.blocks(lm.embed(ids), 0, layer + 1, positions, masks, below)
        for group in groups:
            intervention = conditions[group[0]].intervention
            codes = None if intervention is None else intervention.prepare(hidden)
            per_pass = max(1, batch_size // len(chosen))
            for first in range(0, len(group), per_pass):
                part = group[first : first + per_pass]
                prompt_of = torch.arange(len(chosen), device=lm.device).repeat(len(part))
                displaced = [conditions[c].u for c in part]
                u = torch.stack([u for u in displaced if u is not None]).to(lm.device) if intervention is not None else None
                u = None if u is None else u.repeat_interleave(len(chosen), dim=0)
                states, rows_codes = hidden[prompt_of], None if codes is None else codes[prompt_of]
                if intervention is not None and u is not None:
                    live = real[prompt_of] & (conditions[part[0]].steer_bos | (positions[prompt_of] > 0))
                    states = intervention.edit(states, rows_codes, u, live)
                rows = _Rows(
                    intervention,
                    u,
                    real[prompt_of],
                    below.select(prompt_of),
                    KeyValues(),
                    torch.arange(len(prompt_of), device=lm.device),
                )
                row_positions, row_allowed = positions[prompt_of], allowed[prompt_of]
                row_masks = lm.masks(row_allowed, row_positions, row_positions)
                top = lm.blocks(states, layer + 1, lm.n_layers, row_positions, row_masks, rows.above)
                written = _decode(lm, layer, rows, lm.logits(top[:, -1]).argmax(dim=-1), max_new_tokens)
                for k, tokens in enumerate(written):
                    done[part[k // len(chosen)]][chosen[k % len(chosen)]] = tokens
    return done


def _decode(lm: LanguageModel, layer: int, rows: _Rows, token: Tensor, max_new_tokens: int) -> list[list[int]]:
    """Continue every row from its first new token until it ends its turn."""
    written: list[list[int]] = [[] for _ in range(len(token))]
    for step in range(max_new_tokens):
        for row, value in zip(rows.index.tolist(), token.tolist(), strict=True):
            if not written[row] or written[row][-1] != lm.tokenizer.end_of_turn:
                written[row].append(value)
        going = torch.tensor([written[row][-1] != lm.tokenizer.end_of_turn for row in rows.index.tolist()], device=token.device)
        if step == max_new_tokens - 1 or not going.any():
            break
        if going.sum() <= 0.75 * len(going):
            rows.keep(going.nonzero()[:, 0])
            token = token[going]
        token = _next_token(lm, layer, rows, token)
    return written


def _next_token(lm: LanguageModel, layer: int, rows: _Rows, token: Tensor) -> Tensor:
    """One KV-cached step of all rows."""
    rows.real = torch.cat([rows.real, torch.ones_like(rows.real[:, :1])], dim=1)
    key_positions = (rows.real.long().cumsum(dim=1) - 1).clamp_min(0)
    positions = key_positions[:, -1:]
    masks = lm.masks(rows.real[:, None, :], positions, key_positions)
    hidden = lm.blocks(lm.embed(token[:, None]), 0, layer + 1, positions, masks, rows.below)
    if rows.intervention is not None and rows.u is not None:
        live = torch.ones_like(token[:, None], dtype=torch.bool)
        hidden = rows.intervention.edit(hidden, rows.intervention.prepare(hidden), rows.u, live)
    top = lm.blocks(hidden, layer + 1, lm.n_layers, positions, masks, rows.above)
    return lm.logits(top[:, -1]).argmax(dim=-1)


def _by_intervention(conditions: Sequence[Condition]) -> list[list[int]]:
    """Indices of conditions that share an intervention and its BOS rule, in order of first appearance."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for i, condition in enumerate(conditions):
        groups.setdefault((id(condition.intervention), condition.steer_bos), []).append(i)
    return list(groups.values())
