"""Prompts laid out with their answers so that each prompt is run once for all of them, with little padding.

A preference pair is ``prompt | chosen[:-1] | rejected[:-1]``. The rejected answer takes the positions that the chosen one has and
cannot see it, so each answer reads exactly the prompt and itself; the last token of an answer is predicted, never read. A row is
as long as the longest pair; shorter pairs share one where they fit, and cannot see each other. A question with any number of
answers (``TokenOptions``) is laid out alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel


@dataclass(frozen=True)
class TokenPair:
    """Token ids of a pair; answers end with the end-of-turn token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def answers(self) -> tuple[list[int], list[int]]:
        """Chosen and rejected."""
        return self.chosen, self.rejected

    @property
    def tokens(self) -> list[int]:
        """The tokens that are run."""
        return self.prompt + self.chosen[:-1] + self.rejected[:-1]


@dataclass(frozen=True)
class TokenOptions:
    """Token ids of a question and of the answers to it, each of at least one token."""

    prompt: list[int]
    answers: tuple[list[int], ...]

    @property
    def tokens(self) -> list[int]:
        """The tokens that are run."""
        return self.prompt + [token for answer in self.answers for token in answer[:-1]]


@dataclass(frozen=True)
class PairBatch:
    """Pairs in rows of T tokens, padded on the right; at most R tokens of a row predict an answer.

    Attributes:
        row, start: where each pair begins, ``[pairs]``.
        pair: which pair a token belongs to, ``[rows, T]``; 0 on padding.
        positions: position of each token in its pair, ``[rows, T]``.
        allowed: which keys each query may read, bool ``[rows, T, T]``.
        real: True on tokens, False on padding, ``[rows, T]``.
        read: the tokens whose logits predict an answer, ``[rows, R]``; 0 where a row has fewer.
        source: flat index into ``read`` of the token that predicts each answer token, ``[answers]``.
        target: the answer tokens, ``[answers]``.
        owner: which log-probability each answer token adds to, the answers of all pairs counted in their order: ``2 * pair``
            (chosen) or ``2 * pair + 1`` (rejected).
    """

    row: Tensor
    start: Tensor
    pair: Tensor
    positions: Tensor
    allowed: Tensor
    real: Tensor
    read: Tensor
    source: Tensor
    target: Tensor
    owner: Tensor

    def to(self, device: torch.device) -> PairBatch:
        """Return the same layout on another device."""
        return PairBatch(*(getattr(self, item.name).to(device) for item in fields(self)))

    def packed(self, values: Sequence[Tensor]) -> Tensor:
        """Lay out a value per token of each pair, ``[tokens of the pair, ...]``, as ``[rows, T, ...]``; 0 on padding."""
        result = values[0].new_zeros(*self.pair.shape, *values[0].shape[1:])
        for value, row, start in zip(values, self.row.tolist(), self.start.tolist(), strict=True):
            result[row, start : start + len(value)] = value
        return result

    def order(self) -> list[int]:
        """Return the pairs in the order of their tokens."""
        return (self.row * self.pair.shape[1] + self.start).argsort().tolist()


def batch_pairs(pairs: Sequence[TokenPair | TokenOptions], width: int = 0, shared: bool = True) -> PairBatch:
    """Lay out pairs as one batch, in rows of ``width`` tokens, or as long as the longest pair if that is more.

    Args:
        pairs: preference pairs, or questions with their answers.
        width: least length of a row.
        shared: whether short pairs may share a row; if not, row i is pair i.
    """
    lengths = [len(pair.tokens) for pair in pairs]
    longest = max(width, *lengths)
    places = _places(lengths, longest) if shared else [(row, 0) for row in range(len(pairs))]
    rows = 1 + max(row for row, _ in places)
    pair_of, positions = torch.zeros(rows, longest, dtype=torch.long), torch.zeros(rows, longest, dtype=torch.long)
    allowed = torch.eye(longest, dtype=torch.bool).repeat(rows, 1, 1)
    real = torch.zeros(rows, longest, dtype=torch.bool)
    below = torch.ones(longest, longest, dtype=torch.bool).tril()
    read: list[list[int]] = [[] for _ in range(rows)]
    source, target, owner, answers = [], [], [], 0
    for i, (pair, (row, start), length) in enumerate(zip(pairs, places, lengths, strict=True)):
        p, end, first = len(pair.prompt), start + length, len(read[row])
        pair_of[row, start:end] = i
        real[row, start:end] = True
        place = list(range(p))
        allowed[row, start:end, start:end] = below[:length, :length]
        read[row] += range(start + p - 1, end)  # the last prompt token predicts the first of every answer
        ahead = 1  # place among the read tokens of the first one of an answer
        for answer in pair.answers:
            begin, count = start + p - 1 + ahead, len(answer) - 1
            place += range(p, p + count)
            if begin > start + p:
                allowed[row, begin:end, start + p : begin] = False
            source += [(row, first + k) for k in (0, *range(ahead, ahead + count))]
            target += answer
            owner += [answers] * len(answer)
            answers, ahead = answers + 1, ahead + count
        positions[row, start:end] = torch.tensor(place)
    most = max(map(len, read))
    padded = torch.tensor([tokens + [0] * (most - len(tokens)) for tokens in read])
    flat = torch.tensor([row * most + k for row, k in source])
    corner = torch.tensor(places)
    return PairBatch(
        corner[:, 0], corner[:, 1], pair_of, positions, allowed, real, padded, flat, torch.tensor(target), torch.tensor(owner)
    )


def _places(lengths: Sequence[int], longest: int) -> list[tuple[int, int]]:
    """Return the row and first token of each pair: the longest first, each into the first row with room."""
    places, filled = [(0, 0)] * len(lengths), list[int]()
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((row for row, tokens in enumerate(filled) if tokens + lengths[i] <= longest), len(filled))
        if row == len(filled):
            filled.append(0)
        places[i] = (row, filled[row])
        filled[row] += lengths[i]
    return places


def answer_log_probs(lm: LanguageModel, hidden: Tensor, layer: int, batch: PairBatch) -> Tensor:
    """Sum the log-probabilities of chosen and rejected, ``[pairs, 2]`` float32; see ``summed_log_probs``."""
    return summed_log_probs(lm, hidden, layer, batch, 2 * len(batch.row)).reshape(-1, 2)


def summed_log_probs(lm: LanguageModel, hidden: Tensor, layer: int, batch: PairBatch, answers: int) -> Tensor:
    """Sum the log-probabilities of each answer's tokens, ``[answers]`` float32, from the residual stream after block ``layer``.

    Runs the blocks above ``layer`` only, the last of them and the head only where an answer is predicted.
    """
    top = read_states(lm, hidden, layer, batch)
    tokens, rows = torch.unique(batch.source, return_inverse=True)  # one token predicts the first of all answers to a prompt
    log_probs = lm.target_log_probs(top[tokens], rows, batch.target)
    summed = torch.zeros(answers, dtype=torch.float32, device=log_probs.device)
    return summed.index_add(0, batch.owner, log_probs)


def read_states(lm: LanguageModel, hidden: Tensor, layer: int, batch: PairBatch) -> Tensor:
    """Return the last block's output at the tokens that predict answers, ``[rows * R, d_model]``, as ``batch.source`` counts.

    Args:
        lm: the model; its blocks above ``layer`` run.
        hidden: residual stream after block ``layer``, ``[rows, tokens, d_model]``.
        layer: 0-based.
        batch: the layout of the rows.
    """
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    return lm.blocks(hidden, layer + 1, lm.n_layers, batch.positions, masks, read=batch.read).reshape(-1, lm.d_model)
