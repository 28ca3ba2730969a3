"""Greedy decoding as plainly as can be: one prompt under one condition, run anew for every token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from yapo.evaluation.decoding import Condition
from yapo.models.language_model import LanguageModel, causal


def complete(
    lm: LanguageModel, layer: int, prompts: Sequence[list[int]], conditions: Sequence[Condition], max_new_tokens: int
) -> list[list[list[int]]]:
    """Return the token ids of every completion, ``[condition][prompt]``; see ``Decoder.complete``."""
    return [[_completion(lm, layer, prompt, condition, max_new_tokens) for prompt in prompts] for condition in conditions]


def _completion(lm: LanguageModel, layer: int, prompt: list[int], condition: Condition, max_new_tokens: int) -> list[int]:
    written = list[int]()
    while len(written) < max_new_tokens and not {*written[-1:]} & lm.tokenizer.ends:
        logits = steered_logits(lm, layer, prompt, written, condition)
        written.append(int(logits[-1].argmax()))
    return written


@torch.inference_mode()
def steered_logits(lm: LanguageModel, layer: int, prompt: list[int], answer: list[int], condition: Condition) -> Tensor:
    """Return the logits at every token of a prompt with a part of its answer, ``[tokens, vocabulary]``."""
    ids, edit = torch.tensor([prompt + answer], device=lm.device), condition.intervention
    if edit is not None and edit.layer is not None:
        layer = edit.layer
    real = torch.ones_like(ids, dtype=torch.bool)
    positions, allowed = causal(real)
    masks = lm.masks(allowed, positions, positions)
    hidden = lm.blocks(lm.embed(ids), 0, layer + 1, positions, masks)
    if edit is not None and condition.u is not None:
        live, context = real & (condition.steer_bos | (positions > 0)), None
        if edit.reads is not None:
            read = lm.blocks(lm.embed(ids), 0, edit.reads + 1, positions, masks)
            context = edit.context(read, ids, positions < len(prompt))
        if edit.answers_only:
            live &= positions >= len(prompt) - 1
        state, owner = edit.edit_state(condition.u[None].to(lm.device)), torch.zeros(1, 1, dtype=torch.long, device=lm.device)
        hidden = edit.edit(hidden, edit.codes(hidden), state, owner, live, context)
    return lm.logits(lm.blocks(hidden, layer + 1, lm.n_layers, positions, masks)[0])
