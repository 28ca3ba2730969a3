"""Features of the answers in an activation store: each answer's activations pooled over its tokens, summed over answers.

The tokens are those at which the model writes the answer: the last one of the prompt, and all of the answer but its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from yapo.steering.activations import ActivationStore
from yapo.steering.pair_batch import TokenPair

Side = Literal["chosen", "rejected"]
Pool = Literal["max", "mean"]


@dataclass(frozen=True)
class FeatureSums:
    """Sums over answers, float64 ``[d_sae]`` each.

    Attributes:
        n: number of answers.
        fired: answers in which a feature fires.
        total: its pooled activations.
        squares: their squares.
    """

    n: int
    fired: Tensor
    total: Tensor
    squares: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean pooled activation, ``[d_sae]``."""
        return self.total / self.n


def feature_sums(store: ActivationStore, rows: Sequence[int], side: Side, pool: Pool, d_sae: int) -> FeatureSums:
    """Sum the pooled activations of one answer of each pair.

    Args:
        store: holds the pairs and their codes.
        rows: of the store.
        side: which answer.
        pool: of an answer's tokens.
        d_sae: number of features.
    """
    fired, total, squares = torch.zeros(3, d_sae, dtype=torch.float64)
    for row in rows:
        pooled = pooled_answer(store, row, side, pool, d_sae).double()
        fired += pooled > 0
        total += pooled
        squares += pooled.square()
    return FeatureSums(len(rows), fired, total, squares)


def pooled_answer(store: ActivationStore, row: int, side: Side, pool: Pool, d_sae: int) -> Tensor:
    """Return the activations of one answer, pooled over its tokens, ``[d_sae]``."""
    codes = store.codes[row]
    wanted = torch.zeros(codes.counts.shape, dtype=torch.bool)
    wanted[0, answer_tokens(store.pairs[row], side)] = True
    live = codes.live(wanted)
    pooled = torch.zeros(d_sae).scatter_reduce(0, live.ids.long(), live.values, "amax" if pool == "max" else "sum")
    return pooled if pool == "max" else pooled / int(wanted.sum())


def answer_tokens(pair: TokenPair, side: Side) -> list[int]:
    """Return where in ``pair.tokens`` the tokens stand at which an answer is written."""
    prompt, chosen = len(pair.prompt), len(pair.chosen) - 1
    own = range(prompt, prompt + chosen) if side == "chosen" else range(prompt + chosen, len(pair.tokens))
    return [prompt - 1, *own]
