"""Steerability: how far does a CAA vector at each layer move the answers to non-localized validation questions?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from yapo.evaluation.decoding import Condition, Decoder
from yapo.models.language_model import LanguageModel, causal, pad_left
from yapo.steering.interventions import Dense


@torch.inference_mode()
def last_states(lm: LanguageModel, prompts: list[list[int]], batch_size: int) -> Tensor:
    """Return the residual stream at the last prompt token after every block, ``[layers, prompts, d_model]``."""
    parts = []
    for start in range(0, len(prompts), batch_size):
        ids, real = pad_left(prompts[start : start + batch_size], lm.tokenizer.pad, lm.device)
        positions, allowed = causal(real)
        masks = lm.masks(allowed, positions, positions)
        hidden, states = lm.embed(ids), []
        for layer in range(lm.n_layers):
            hidden = lm.blocks(hidden, layer, layer + 1, positions, masks)
            states.append(hidden[:, -1].float())
        parts.append(torch.stack(states))
    return torch.cat(parts, dim=1)


def steer_every_layer(
    lm: LanguageModel,
    localized: list[list[int]],
    nonlocalized: list[list[int]],
    questions: list[list[int]],
    multipliers: Sequence[float],
    max_new_tokens: int,
    batch_size: int,
    right: Callable[[list[str]], list[bool]],
) -> list[list[bool]]:
    """Return which questions are answered right under the best multiplier of each layer, ``[layers - 1][questions]``.

    Args:
        localized: training prompts that name the country.
        nonlocalized: the same prompts without it, in the same order; CAA is the mean difference at the last token.
        questions: non-localized validation prompts.
        multipliers: strengths to try.
        right: judges completions of ``questions``.
    """
    vectors = (last_states(lm, localized, batch_size) - last_states(lm, nonlocalized, batch_size)).mean(dim=1)
    results, decoder = [], Decoder(lm, batch_size)
    for layer in range(lm.n_layers - 1):
        dense = Dense(lm.d_model)
        conditions = [Condition(dense, m * vectors[layer]) for m in multipliers]
        written = decoder.complete(layer, questions, conditions, max_new_tokens)
        tried = [right([lm.tokenizer.decode(ids) for ids in completions]) for completions in written]
        results.append(max(tried, key=sum))
    return results
