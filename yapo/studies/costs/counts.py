"""Floating-point operations of fitting and of steering, as torch's counter counts them while the real code runs.

The counter sees matrix products, convolutions and attention, two operations for a multiplication and an addition. It does not see
sums, look-ups, decompositions, or what scikit-learn does: a method that only averages has a fit of 0.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from yapo.models.language_model import LanguageModel, causal
from yapo.stages.vectors import ChosenVector
from yapo.steering.activations import ActivationStore
from yapo.steering.method import FitInputs, Method
from yapo.steering.pair_batch import answer_log_probs, batch_pairs
from yapo.steering.training.train_sets import TrainSet, fewer_facts

SAMPLE = 32  # pairs on which a training and the preparation are counted


@dataclass(frozen=True)
class FitCount:
    """Operations of a fit, and how often it runs the model over each pair."""

    passes: int
    flops: int


def count_fit(method: Method, inputs: FitInputs) -> FitCount:
    """Count the fit of the one set of ``inputs``; nothing that it learns is kept.

    A training is counted on one epoch of ``SAMPLE`` pairs, step by step as on a CPU, and scaled to all epochs and pairs: its
    operations grow with the tokens of its pairs. The validation loss after an epoch is left out, but for one pair's. What is no
    training is counted whole.
    """
    (part,) = inputs.sets
    if not method.learns:
        return FitCount(int(method.space.reads_prompt), _flops(method, inputs))
    seen = fewer_facts(part, inputs.rows, inputs.train.share, inputs.train.seed).train
    few = replace(part, train=seen[:SAMPLE], validation=part.validation[:1])
    train = replace(inputs.train, epochs=1, share=1.0, engine="plain", compile_from=None)
    epochs, counted = inputs.train.epochs, _flops(method, replace(inputs, sets=[few], train=train))
    return FitCount(epochs, counted * epochs * len(seen) // len(few.train))


def _flops(method: Method, inputs: FitInputs) -> int:
    """Count a fit from its beginning: a checkpoint that another left would spare it some."""
    with tempfile.TemporaryDirectory() as folder, FlopCounterMode(display=False) as counter:
        method.fit(replace(inputs, checkpoint=Path(folder) / inputs.checkpoint.name))
    return int(counter.get_total_flops())


def count_preparation(method: Method, lm: LanguageModel, layer: int, store: ActivationStore, part: TrainSet) -> int:
    """Count the frozen model's pass over the training pairs of a set, as far as a method uses it, scaled from ``SAMPLE`` pairs.

    A training needs the log-probabilities of both answers, so the whole model; a closed form the states after the steered block;
    a method that reads prompts by itself nothing.
    """
    if method.space.reads_prompt:
        return 0
    pairs = [store.pairs[i] for i in part.train[:SAMPLE]]
    batch = batch_pairs(pairs).to(lm.device)
    ids = batch.packed([torch.tensor(pair.tokens, device=lm.device) for pair in pairs])
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        hidden = lm.blocks(lm.embed(ids), 0, layer + 1, batch.positions, masks)
        if method.learns:
            answer_log_probs(lm, hidden, layer, batch)
    return int(counter.get_total_flops()) * len(part.train) // len(pairs)


def count_edit(vector: ChosenVector, lm: LanguageModel) -> int:
    """Count the edit of one generated token."""
    u = (vector.multiplier * vector.values)[None].to(lm.device)
    edit = vector.intervention.to(lm.device).token_edit(u, 1, lm.dtype)
    hidden, owner = torch.zeros(1, lm.d_model, device=lm.device), torch.zeros(1, dtype=torch.long, device=lm.device)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        edit(hidden, owner)
    return int(counter.get_total_flops())


def count_token(lm: LanguageModel) -> int:
    """Count the unsteered model's pass over one token that reads itself alone."""
    ids = torch.zeros(1, 1, dtype=torch.long, device=lm.device)
    positions, allowed = causal(torch.ones_like(ids, dtype=torch.bool))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        lm.logits(lm.blocks(lm.embed(ids), 0, lm.n_layers, positions, lm.masks(allowed, positions, positions)))
    return int(counter.get_total_flops())
