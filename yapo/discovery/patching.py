"""Activation patching: at which depth does the localized prompt carry the culture? (YaPO, appendix B)

The state of the position where the answer is decided is taken from the run on the localized prompt, after block j, and
written over the same position of the run on the non-localized prompt. What is measured is the probability of the country's
own answer, and of the Western one, in the patched run. A whole answer of a sentence can be too unlikely to average over
questions; its probability per token, the geometric mean over its tokens, is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from yapo.models.language_model import LanguageModel
from yapo.steering.pair_batch import TokenPair, answer_log_probs, batch_pairs

Per = Literal["answer", "token"]


@dataclass(frozen=True)
class Probe:
    """One question in both forms, with the two answers whose probability is followed.

    Prompts are token ids up to and including the position where the answer is decided; answers are what follows.
    """

    localized: list[int]
    nonlocalized: list[int]
    gold: list[int]
    western: list[int]


def make_probe(localized: list[int], nonlocalized: list[int], gold: list[int], western: list[int]) -> Probe:
    """Move what both answers begin with (the ``\\boxed{`` of a choice) into the prompts, so that these end at the decision."""
    shared = 0
    while shared < min(len(gold), len(western)) - 1 and gold[shared] == western[shared]:
        shared += 1
    return Probe(localized + gold[:shared], nonlocalized + gold[:shared], gold[shared:], western[shared:])


@torch.inference_mode()
def patch_all_layers(lm: LanguageModel, probes: list[Probe], batch_size: int, per: Per = "answer") -> Tensor:
    """Return probabilities of both answers, or of their tokens in the geometric mean, after patching each layer.

    Returns:
        ``[layers + 2, probes, 2]``: rows 0..N-1 patched after that block, then unpatched, then the localized prompt itself;
        the last axis is gold, Western.
    """
    parts = [_patch_batch(lm, probes[start : start + batch_size]) for start in range(0, len(probes), batch_size)]
    lengths = torch.tensor([[len(p.gold), len(p.western)] if per == "token" else [1, 1] for p in probes])
    return (torch.cat(parts, dim=1) / lengths).exp()


def _patch_batch(lm: LanguageModel, probes: list[Probe]) -> Tensor:
    """Return log-probabilities; see ``patch_all_layers``."""
    source, source_place, ceiling = _run(lm, [TokenPair(p.localized, p.gold, p.western) for p in probes])
    target, target_place, base = _run(lm, [TokenPair(p.nonlocalized, p.gold, p.western) for p in probes])
    batch = batch_pairs([TokenPair(p.nonlocalized, p.gold, p.western) for p in probes]).to(lm.device)
    values = []
    for layer in range(lm.n_layers):
        patched = target[layer].clone()
        patched[target_place] = source[layer][source_place]
        values.append(answer_log_probs(lm, patched, layer, batch))
    return torch.stack([*values, base, ceiling]).cpu()


def _run(lm: LanguageModel, pairs: list[TokenPair]) -> tuple[list[Tensor], tuple[Tensor, Tensor], Tensor]:
    """Return states after every block, row and place of the last prompt tokens, and log-probabilities of both answers."""
    batch = batch_pairs(pairs).to(lm.device)
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    ids = batch.packed([torch.tensor(pair.tokens, device=lm.device) for pair in pairs])
    states, hidden = [], lm.embed(ids)
    for layer in range(lm.n_layers):
        hidden = lm.blocks(hidden, layer, layer + 1, batch.positions, masks)
        states.append(hidden)
    last = batch.start + torch.tensor([len(pair.prompt) - 1 for pair in pairs], device=lm.device)
    return states, (batch.row, last), answer_log_probs(lm, hidden, lm.n_layers - 1, batch)
