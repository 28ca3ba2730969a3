"""Settings of layer discovery, methods, training, selection and portable vectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from yapo.checks import check_seed, check_words, distinct, require

Directions = Literal["both", "positive"]
Draws = Literal["step", "process"]
Warmup = Literal["step+1", "step"]
Engine = Literal["auto", "plain", "laid out"]


@dataclass
class DiscoveryConfig:
    """Layer discovery: both curves, and which one decides."""

    select: Literal["patching", "steerability"] = "steerability"
    layer: int | None = None  # fixes the layer
    probability: Literal["answer", "token"] = "answer"  # patching: of the whole answer | of a token, in the geometric mean
    candidates: list[int] = field(default_factory=lambda: [1, 2, 3])  # layers that have an SAE
    countries: list[str] | None = None  # measured; null: all of the data, none for a fixed layer. May be empty for a fixed layer
    multipliers: list[float] = field(default_factory=lambda: [1.0, 2.0])

    def __post_init__(self) -> None:
        check_words("discovery", self)
        require(bool(self.candidates), "discovery.candidates", self.candidates, "name at least one layer")
        require(min(self.candidates) >= 0, "discovery.candidates", self.candidates, "layers count from 0")
        require(self.layer is None or self.layer >= 0, "discovery.layer", self.layer, "layers count from 0; null searches")
        searched = self.layer is None
        require(
            self.countries is None or bool(self.countries) or not searched,
            "discovery.countries",
            self.countries,
            "name one, or fix discovery.layer",
        )
        distinct("discovery.candidates", self.candidates)
        distinct("discovery.countries", self.countries or [])
        distinct("discovery.multipliers", self.multipliers)
        require(bool(self.multipliers), "discovery.multipliers", self.multipliers, "give at least one")
        require(0.0 not in self.multipliers, "discovery.multipliers", self.multipliers, "leave 0 out: it steers nothing")


@dataclass
class StoreConfig:
    """Limit on what preparation keeps for training: residual stream, sparse codes, reference log-probabilities."""

    max_gigabytes: float = 100.0  # of one country and task; preparation that would need more stops before it starts

    def __post_init__(self) -> None:
        require(0 < self.max_gigabytes < inf, "store.max_gigabytes", self.max_gigabytes, "a positive size, not infinite")

    @property
    def max_bytes(self) -> float:
        """The limit in bytes."""
        return self.max_gigabytes * 10**9


@dataclass
class MethodConfig:
    """A steering method and the settings only it reads (``options``)."""

    name: str = "yapo"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrainConfig:
    """Preference training (BiPO, YaPO)."""

    lr: float = 5e-4
    epochs: int = 20
    batch_size: int = 4
    beta: float = 0.1
    directions: Directions = "both"  # both: d = -1 or 1, drawn for each step | positive: d = 1 alone
    share: float = 1.0  # of the training facts; those kept are drawn by the seed, a smaller share from a larger one
    processes: int = 1  # data-parallel processes that a step stands for; each takes batch_size pairs of its own
    draws: Draws = "step"  # step: one d for all processes of a step | process: each draws its own
    warmup_steps: int = 100
    warmup: Warmup = "step+1"  # share of lr while warming up: (step+1)/warmup_steps | step: step/warmup_steps, as published
    weight_decay: float = 0.05
    grad_clip: float = 1.0
    seed: int = 0
    steer_bos: bool = False  # whether the first token is steered too, as published
    engine: Engine = "auto"  # plain | laid out: batches prepared ahead, replayed as graphs on a GPU | auto: laid out on a GPU
    compile_from: int | None = 4000  # steps of a training from which a GPU's blocks are compiled, which takes half a minute
    rows_per_pass: int = 64  # pairs in one forward pass, of all vectors together; more is faster, up to the device's memory

    def __post_init__(self) -> None:
        check_words("train", self)
        require(0 < self.lr < inf, "train.lr", self.lr, "a positive learning rate, not infinite")
        require(self.epochs > 0, "train.epochs", self.epochs, "at least 1")
        require(self.batch_size > 0, "train.batch_size", self.batch_size, "at least 1")
        require(self.rows_per_pass > 0, "train.rows_per_pass", self.rows_per_pass, "at least 1")
        require(0 < self.beta < inf, "train.beta", self.beta, "a positive number, not infinite")
        require(self.processes > 0, "train.processes", self.processes, "at least 1")
        from_ok = self.compile_from is None or self.compile_from >= 0
        require(from_ok, "train.compile_from", self.compile_from, "0 or more, or null for never")
        require(0 < self.share <= 1, "train.share", self.share, "above 0 and up to 1, all facts")
        require(self.warmup_steps >= 0, "train.warmup_steps", self.warmup_steps, "0 or more")
        require(0 <= self.weight_decay < inf, "train.weight_decay", self.weight_decay, "0 or more, not infinite")
        require(0 < self.grad_clip < inf, "train.grad_clip", self.grad_clip, "a positive norm, not infinite")
        check_seed("train.seed", self.seed)


@dataclass
class SelectionConfig:
    """The grid that validation chooses from. Only positive multipliers can be chosen; the others draw the λ curve."""

    multipliers: list[float] = field(default_factory=lambda: [-1.0, 0.5, 1.0, 1.5, 2.0])
    max_kl: float | None = None  # nats; largest 95th percentile of KL(steered ‖ unsteered) of a choice; null: no bound

    def __post_init__(self) -> None:
        distinct("selection.multipliers", self.multipliers)
        require(1.0 in self.multipliers, "selection.multipliers", self.multipliers, "must contain 1.0")
        bound_ok = self.max_kl is None or 0 < self.max_kl < inf
        require(bound_ok, "selection.max_kl", self.max_kl, "a positive number of nats, not infinite, or null for no bound")


@dataclass
class PortableConfig:
    """Free-standing vectors: how far a sparse one is pruned."""

    top_k: list[int] = field(default_factory=lambda: [16, 64, 256, 1024])  # sizes tried on validation
    tolerance: float = 0.02  # loss of validation score, as a share of its range, that a smaller vector may cost

    def __post_init__(self) -> None:
        distinct("portable.top_k", self.top_k)
        require(bool(self.top_k), "portable.top_k", self.top_k, "give at least one size")
        require(min(self.top_k, default=0) > 0, "portable.top_k", self.top_k, "at least 1 feature")
        require(0 <= self.tolerance <= 1, "portable.tolerance", self.tolerance, "a share between 0 and 1")
