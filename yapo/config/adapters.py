"""Settings of low-rank adapters (LoRA), conditions that change the model's weights and are no vector."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import get_args

from yapo.checks import AdapterMethod, Projection, check_words, distinct, require


@dataclass
class AdaptersConfig:
    """Adapters trained on the pairs that vectors train on, with the epochs, batches, β and seed of ``train``.

    See ``yapo.steering.lora``.
    """

    rows: list[AdapterMethod] = field(default_factory=list)  # rows of the tables; empty: none is trained
    rank: int = 8
    alpha: float = 16.0  # an adapter counts alpha / rank times
    modules: list[Projection] = field(default_factory=lambda: list(get_args(Projection)))  # of every block
    lr: float = 1e-3

    def __post_init__(self) -> None:
        check_words("adapters", self)
        distinct("adapters.rows", self.rows)
        distinct("adapters.modules", self.modules)
        require(bool(self.modules), "adapters.modules", self.modules, "name at least one")
        require(self.rank > 0, "adapters.rank", self.rank, "at least 1")
        require(0 < self.alpha < inf, "adapters.alpha", self.alpha, "a positive number, not infinite")
        require(0 < self.lr < inf, "adapters.lr", self.lr, "a positive learning rate, not infinite")
