"""Log-probabilities of answers as plainly as can be: each answer in a sequence of its own, without a cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from yapo.evaluation.decoding import Condition
from yapo.models.language_model import LanguageModel, causal
from yapo.steering.pair_batch import TokenOptions


def answer_log_probs(
    lm: LanguageModel, layer: int, questions: Sequence[TokenOptions], conditions: Sequence[Condition]
) -> list[list[list[float]]]:
    """Return log p(answer | prompt), ``[condition][question][answer]``; see ``yapo.evaluation.likelihood``."""
    return [
        [[_log_prob(lm, layer, question.prompt, answer, condition) for answer in question.answers] for question in questions]
        for condition in conditions
    ]


@torch.inference_mode()
def _log_prob(lm: LanguageModel, layer: int, prompt: list[int], answer: list[int], condition: Condition) -> float:
    ids = torch.tensor([prompt + answer])
    edit = condition.intervention
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
        state, owner = edit.edit_state(condition.u[None]), torch.zeros(1, 1, dtype=torch.long)
        hidden = edit.edit(hidden, edit.codes(hidden), state, owner, live, context)
    logits = lm.logits(lm.blocks(hidden, layer + 1, lm.n_layers, positions, masks)[0])
    log_probs = logits.log_softmax(dim=-1)[len(prompt) - 1 : -1]
    return float(log_probs[range(len(answer)), answer].sum())
