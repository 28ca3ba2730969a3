"""Preference pairs laid out so that each prompt is run once for both of its answers.

A row is ``prompt | chosen[:-1] | rejected[:-1]``. The rejected answer takes the positions that the chosen one has and cannot
see it, so each answer reads exactly the prompt and itself; the last token of an answer is predicted, never read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel


@dataclass(frozen=True)
class Pair:
    """Token ids of a pair; answers end with the end-of-turn token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def tokens(self) -> list[int]:
        """What is run."""
        return self.prompt + self.chosen[:-1] + self.rejected[:-1]


@dataclass(frozen=True)
class TreeBatch:
    """Pairs padded to one length, on the right. T counts tokens of the longest pair, R its tokens that predict an answer.

    Attributes:
        positions: position of each token, ``[pairs, T]``.
        allowed: which keys each query may read, bool ``[pairs, T, T]``.
        real: True on tokens, False on padding, ``[pairs, T]``.
        read: the tokens whose logits predict an answer, ``[pairs, R]``; 0 where a pair has fewer.
        source: flat index into ``read`` of the token that predicts each answer token, ``[answers]``.
        target: the answer tokens, ``[answers]``.
        owner: which log-probability each answer token adds to: ``2 * pair`` (chosen) or ``2 * pair + 1`` (rejected).
    """

    positions: Tensor
    allowed: Tensor
    real: Tensor
    read: Tensor
    source: Tensor
    target: Tensor
    owner: Tensor

    def to(self, device: torch.device) -> TreeBatch:
        """The same layout on another device."""
        return TreeBatch(*(getattr(self, item.name).to(device) for item in fields(self)))


def tree_batch(pairs: list[Pair]) -> TreeBatch:
    """Lay out pairs as one batch."""
    longest = max(len(pair.tokens) for pair in pairs)
    most = max(len(pair.chosen) + len(pair.rejected) - 1 for pair in pairs)
    positions = torch.zeros(len(pairs), longest, dtype=torch.long)
    allowed = torch.eye(longest, dtype=torch.bool).repeat(len(pairs), 1, 1)
    real = torch.zeros(len(pairs), longest, dtype=torch.bool)
    read = torch.zeros(len(pairs), most, dtype=torch.long)
    below = torch.ones(longest, longest, dtype=torch.bool).tril()
    source, target, owner = [], [], []
    for i, pair in enumerate(pairs):
        p, c, r = len(pair.prompt), len(pair.chosen) - 1, len(pair.rejected) - 1
        length = p + c + r
        real[i, :length] = True
        positions[i, : p + c] = torch.arange(p + c)
        positions[i, p + c : length] = torch.arange(p, p + r)
        allowed[i, :length, :length] = below[:length, :length]
        allowed[i, p + c : length, p : p + c] = False
        read[i, : 1 + c + r] = torch.arange(p - 1, length)  # the last prompt token predicts the first of both answers
        for side, (first, answer) in enumerate(((1, pair.chosen), (1 + c, pair.rejected))):
            source += [i * most + k for k in (0, *range(first, first + len(answer) - 1))]
            target += answer
            owner += [2 * i + side] * len(answer)
    return TreeBatch(positions, allowed, real, read, *(torch.tensor(values) for values in (source, target, owner)))


def answer_log_probs(lm: LanguageModel, hidden: Tensor, layer: int, batch: TreeBatch) -> Tensor:
    """Summed log-probability of chosen and rejected, ``[pairs, 2]`` float32, from the residual stream after block ``layer``.

    Runs the blocks above ``layer`` only, the last of them and the head only where an answer is predicted.
    """
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    top = lm.blocks(hidden, layer + 1, lm.n_layers, batch.positions, masks, read=batch.read)
    log_probs = lm.target_log_probs(top.reshape(-1, lm.d_model)[batch.source], batch.target)
    summed = torch.zeros(2 * len(batch.read), dtype=torch.float32, device=log_probs.device)
    return summed.index_add(0, batch.owner, log_probs).reshape(-1, 2)
