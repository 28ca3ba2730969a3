"""Held-out pairs: under which layer's mean difference do their chosen answers become likeliest?

The counterpart of ``yapo.discovery.steerability`` for preference pairs, whose answers no rule can grade. The chosen answer's own
likelihood is measured, not its distance from the rejected one: a vector that breaks the model drives both apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.models.language_model import LanguageModel
from yapo.steering.activations import ActivationStore, build_store, silent_sae
from yapo.steering.contrast import answer_states
from yapo.steering.interventions import Dense, Intervention
from yapo.steering.objective import steered_log_probs
from yapo.steering.pair_batch import TokenPair

MULTIPLIERS = (0.25, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Gain:
    """Change of the log-probability of held-out chosen answers by steering.

    Attributes:
        layer: 0-based block whose output is steered.
        gain: nats a token, the mean over pairs, at the best multiplier.
        multiplier: which that was.
    """

    layer: int
    gain: float
    multiplier: float


def gains_by_layer(
    lm: LanguageModel, pairs: list[TokenPair], train: Sequence[int], validation: Sequence[int], batch_size: int
) -> list[Gain]:
    """Return what each layer's mean difference adds, for every layer that can be steered.

    Args:
        lm: the model.
        pairs: token ids.
        train: the pairs whose mean difference steers, at the first token in which their answers differ.
        validation: the pairs that are measured.
        batch_size: pairs of one forward pass.

    Returns:
        One entry a layer, in their order; none where the answers of no training pair differ before their last token.
    """
    silent, dense, found = silent_sae(lm.d_model).to(lm.device), Dense(lm.d_model), list[Gain]()
    for layer in range(lm.n_layers - 1):
        store = build_store(lm, layer, silent, pairs, batch_size)
        states = answer_states(store, train)
        if states is None:
            return []
        difference = states[0].float().mean(dim=0) - states[1].float().mean(dim=0)
        found.append(best_multiplier(lm, dense, store, validation, difference, batch_size))
    return found


def best_multiplier(
    lm: LanguageModel, intervention: Intervention, store: ActivationStore, rows: Sequence[int], v: Tensor, batch_size: int
) -> Gain:
    """Return the largest gain over ``MULTIPLIERS`` at the layer of a store; see ``chosen_gain``."""
    gains = {m: chosen_gain(lm, intervention, store, rows, m * v, batch_size) for m in MULTIPLIERS}
    best = max(gains, key=lambda multiplier: gains[multiplier])
    return Gain(store.key.layer, gains[best], best)


def chosen_gain(
    lm: LanguageModel, intervention: Intervention, store: ActivationStore, rows: Sequence[int], u: Tensor, batch_size: int
) -> float:
    """Return the mean over pairs of log π_u(chosen) - log π_0(chosen), divided by the answer's tokens.

    Args:
        lm: the model.
        intervention: the edit, at every token but BOS.
        store: activations at the layer that is steered.
        rows: pairs of the store.
        u: the scaled vector λ·v, ``[width]``.
        batch_size: pairs of one forward pass.
    """
    added = steered_log_probs(lm, intervention, store, rows, u, batch_size)[:, 0] - store.reference[list(rows), 0]
    return float((added / torch.tensor([len(store.pairs[i].chosen) for i in rows])).mean())
