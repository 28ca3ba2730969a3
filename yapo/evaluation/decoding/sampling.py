"""Choose next tokens: the likeliest, or a sample that depends on seed, row and position alone.

Samples use the Gumbel trick with noise from an integer hash, so a completion is the same whatever the batch that it ran in, and
a step that samples has no state to keep.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.errors import YapoError

MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Sampling:
    """Sample from softmax(logits / temperature).

    Attributes:
        temperature: above 0.
        seed: of all samples.
    """

    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise YapoError(f"temperature={self.temperature}: give a number above 0, or decode greedily")

    def row_seed(self, condition: int, prompt: int) -> int:
        """Return the seed of one completion."""
        return _mixed_int(_mixed_int(_mixed_int(self.seed & MASK) ^ condition) ^ prompt)


def sample(logits: Tensor, temperature: float, seeds: Tensor, positions: Tensor) -> Tensor:
    """Draw one token a row, ``[rows]``.

    Args:
        logits: ``[rows, vocabulary]`` float32.
        temperature: above 0.
        seeds: ``Sampling.row_seed`` of each row, ``[rows]``.
        positions: place of the token to come in its row, ``[rows]``.
    """
    rows = _mixed(seeds ^ _mixed(positions))
    bits = _mixed(rows[:, None] ^ _mixed(torch.arange(logits.shape[1], device=logits.device)))
    uniform = ((bits >> 9).float() + 0.5) / 2.0**23  # 23 bits, so that no sum rounds to 1
    return (logits / temperature - (-uniform.log()).log()).argmax(dim=-1)


def _mixed(x: Tensor) -> Tensor:
    """Hash of 32-bit integers held in int64 (the finaliser of MurmurHash3)."""
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & MASK
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & MASK
    return x ^ (x >> 16)


def _mixed_int(x: int) -> int:
    return int(_mixed(torch.tensor(x)))
