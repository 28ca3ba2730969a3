"""Divergence of the steered model from the unsteered one, and the multiplier at which a vector reaches a given one.

    KL(steered ‖ unsteered) = Σ_w p_λ(w) [log p_λ(w) - log p_0(w)],    of the next token, in nats

It is taken at every token of a text that both models are made to read (teacher forcing), the end of the turn included; vectors of
different kinds compare at an equal 95th percentile over tokens. ``tests/evaluation/test_divergence.py`` holds it equal to whole
sequences, and the search equal to one over a fine grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from yapo.evaluation.decoding import Condition
from yapo.evaluation.steered_states import steered_states
from yapo.models.head import LOGITS
from yapo.models.language_model import LanguageModel
from yapo.steering.pair_batch import TokenOptions, read_states

PERCENTILE = 0.95
TOLERANCE = 0.02  # of a level, within which it counts as reached
SMALLEST, LARGEST = 2.0**-10, 2.0**6  # multipliers that are tried
_NARROW = 1.001  # ratio of the ends of a bracket that holds a jump
_SLACK = 0.001  # share by which a percentile may fall without being called a fall


@torch.inference_mode()
def token_divergences(
    lm: LanguageModel, layer: int, texts: Sequence[TokenOptions], conditions: Sequence[Condition], rows: int
) -> list[Tensor]:
    """Return KL(steered ‖ unsteered) at every token of the answers, one tensor ``[tokens]`` for each condition.

    Args:
        lm: the model.
        layer: 0-based block whose output is edited, unless an intervention names one of its own.
        texts: prompts, each with the one answer that is read.
        conditions: ways to steer.
        rows: of one forward pass.
    """
    unsteered: dict[int, Tensor] = {}
    found: list[list[Tensor]] = [[torch.empty(0)] * len(texts) for _ in conditions]
    for states in steered_states(lm, layer, texts, [Condition(), *conditions], rows):
        top = read_states(lm, states.hidden, states.layer, states.batch)[states.batch.source]
        parts = top.split([len(text.answers[0]) for text in states.questions])  # type: ignore[no-untyped-call]
        for (condition, text), part in zip(states.taken, parts, strict=True):
            if condition == 0:  # the first of its batch, before any that is compared with it
                unsteered[text] = part
            else:
                found[condition - 1][text] = _divergence(lm, part, unsteered[text]).cpu()
    return [torch.cat(parts) if parts else torch.empty(0) for parts in found]


def _divergence(lm: LanguageModel, steered: Tensor, unsteered: Tensor) -> Tensor:
    """Return the divergence of the next token after each state ``[tokens, d_model]`` of the last block."""
    few = max(1, LOGITS // len(lm.model.lm_head.weight))
    parts = []
    for one, other in zip(steered.split(few), unsteered.split(few), strict=True):  # type: ignore[no-untyped-call]
        p, q = (lm.logits(part).log_softmax(dim=-1) for part in (one, other))
        parts.append((p.exp() * (p - q)).sum(dim=-1).clamp_min(0.0))
    return torch.cat(parts)


def percentile(divergences: Tensor) -> float:
    """Return the 95th percentile over tokens ``[tokens]``, interpolated between neighbours."""
    return float(torch.quantile(divergences.double(), PERCENTILE))


@dataclass(frozen=True)
class Match:
    """The multiplier at which a vector reaches a divergence.

    Attributes:
        multiplier: λ; None where no λ that is tried reaches the divergence.
        divergence: the percentile there, or the highest that was found. It is below the level where the percentile jumps over it.
        monotone: whether the percentile never fell while λ grew, among the multipliers tried.
    """

    multiplier: float | None
    divergence: float
    monotone: bool


def match_divergence(
    level: float, vectors: int, measure: Callable[[Sequence[tuple[int, float]]], Sequence[float]]
) -> list[Match]:
    """Find the multiplier at which each vector's percentile is ``level``, all vectors side by side.

    λ is doubled or halved from 1 until the level lies between two multipliers, then interpolated between them on logarithmic
    scales, where a small edit's divergence is a straight line. Where the percentile is not monotone it may reach a level more
    than once; the one found lies in the first bracket.

    Args:
        level: of the percentile, in nats, above 0.
        vectors: how many there are.
        measure: returns the percentile of each (vector, λ).
    """
    searches = [_Search(level) for _ in range(vectors)]
    while asked := [(i, search.next) for i, search in enumerate(searches) if search.next is not None]:
        for (i, multiplier), value in zip(asked, measure(asked), strict=True):
            searches[i].note(multiplier, value)
    return [search.result() for search in searches]


class _Search:
    """The search for one vector's multiplier; ``next`` is the one to try."""

    def __init__(self, level: float) -> None:
        self.level, self.next = level, 1.0 if level > 0 else None
        self.tried: dict[float, float] = {}
        self.low: float | None = None
        self.high: float | None = None

    def note(self, multiplier: float, value: float) -> None:
        """Take up the percentile at a multiplier and decide on the next."""
        self.tried[multiplier] = value
        if abs(value / self.level - 1) <= TOLERANCE:
            self.low, self.next = multiplier, None
            return
        if value < self.level:
            self.low = multiplier
        else:
            self.high = multiplier
        self.next = self._between()

    def _between(self) -> float | None:
        if self.high is None:
            return None if self.low is None or 2 * self.low > LARGEST else 2 * self.low
        if self.low is None:
            return None if self.high / 2 < SMALLEST else self.high / 2
        if self.high / self.low < _NARROW:
            return None
        below, above = self.tried[self.low], self.tried[self.high]
        share = 0.5 if below <= 0 else math.log(self.level / below) / math.log(above / below)
        return float(self.low * (self.high / self.low) ** min(max(share, 0.1), 0.9))

    def result(self) -> Match:
        """Return what was found; of a percentile that jumps over the level, the multiplier just below."""
        values = [value for _, value in sorted(self.tried.items())]
        monotone = all(after >= before * (1 - _SLACK) for before, after in pairwise(values))
        reached = self.low is not None and (self.high is not None or self.tried[self.low] >= self.level * (1 - TOLERANCE))
        if not reached or self.low is None:
            return Match(None, max(values, default=0.0), monotone)
        return Match(self.low, self.tried[self.low], monotone)
