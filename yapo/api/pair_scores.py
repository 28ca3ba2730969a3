"""Preference pairs: which of the two answers is likelier, unsteered, under a vector and under a random control."""

from __future__ import annotations

import pandas as pd
import torch

from yapo.api.scores import CONDITIONS, ConditionName, Scored
from yapo.data.text import text_key
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import random_control
from yapo.models.language_model import LanguageModel
from yapo.steering.activations import build_store, silent_sae
from yapo.steering.objective import answer_lengths, steered_log_probs
from yapo.steering.prepare import token_pairs

BATCH = 16  # pairs of one forward pass


def score_pairs(lm: LanguageModel, pairs: pd.DataFrame, layer: int, steered: Condition, seed: int, longest: int) -> Scored:
    """Score 1 where the chosen answer is likelier, a token, than the rejected one.

    Args:
        lm: the model.
        pairs: as ``yapo.api.pairs.read_pairs`` returns them.
        layer: 0-based block whose output is edited.
        steered: the vector.
        seed: of the random direction.
        longest: tokens of a prompt; pairs with a longer one are left out.

    Raises:
        YapoError: no pair is left.
    """
    rows, tokens, _ = token_pairs(lm, pairs, longest)
    if not tokens:
        raise YapoError(f"max_prompt_tokens={longest}: no pair is left; raise it")
    store = build_store(lm, layer, silent_sae(lm.d_model).to(lm.device), tokens, BATCH)
    every, edit, u = list(range(len(tokens))), steered.intervention, steered.u
    assert edit is not None and u is not None
    moved = [
        edit.displacement(states[None, 1:].to(lm.device), u, torch.ones(1, len(states) - 1, dtype=torch.bool, device=lm.device))
        for states in store.hidden
    ]
    mean_moved = sum(moved) / len(moved)
    control = random_control([mean_moved], lm.d_model, seed)
    assert control.intervention is not None and control.u is not None
    log_probs = [
        store.reference,
        steered_log_probs(lm, edit, store, every, u, BATCH),
        steered_log_probs(lm, control.intervention, store, every, control.u, BATCH),
    ]
    lengths = answer_lengths(store, every)
    scores: dict[ConditionName, list[float]] = {}
    for name, found in zip(CONDITIONS, log_probs, strict=True):
        by_token = found / lengths
        scores[name] = (by_token[:, 0] > by_token[:, 1]).float().tolist()
    clusters = [text_key(prompt) for prompt in rows["prompt"]]
    return Scored("preference", scores, {}, clusters, mean_moved / store.mean_norm)
