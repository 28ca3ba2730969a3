"""Steerability: how far does a CAA vector at each layer move the answers to non-localized validation questions?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from yapo.evaluation.decoding import Condition
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
    multipliers: Sequence[float],
    batch_size: int,
    right: Callable[[int, list[Condition]], list[list[bool]]],
) -> list[list[bool]]:
    """Return which questions are answered right under the best multiplier of each layer, ``[layers - 1][questions]``.

    Args:
        localized: training prompts that name the country.
        nonlocalized: the same prompts without it, in the same order; CAA is the mean difference at the last token.
        multipliers: strengths to try.
        batch_size: rows of one forward pass.
        right: says which non-localized validation questions are right under edits of a layer, ``[condition][question]``.
    """
    vectors = (last_states(lm, localized, batch_size) - last_states(lm, nonlocalized, batch_size)).mean(dim=1)
    dense = Dense(lm.d_model)
    layers = range(lm.n_layers - 1)
    return [max(right(layer, [Condition(dense, m * vectors[layer]) for m in multipliers]), key=sum) for layer in layers]
