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
GRID = (0.25, 1.0, 4.0, 16.0)  # multipliers that are tried of every vector; further ones by steps of 4 where none is above
SMALLEST, LARGEST = 4.0**-6, 4.0**4  # between which multipliers are tried
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
        lengths = [len(text.answers[0]) for text in states.questions]
        parts = list(zip(states.taken, top.split(lengths), strict=True))  # type: ignore[no-untyped-call]
        unsteered |= {text: part for (condition, text), part in parts if condition == 0}  # each before it comes steered
        steered = [(place, part) for place, part in parts if place[0] > 0]
        if steered:
            one, other = (torch.cat(side) for side in zip(*((part, unsteered[text]) for (_, text), part in steered), strict=True))
            apart = _divergence(lm, one, other).cpu().split([len(part) for _, part in steered])  # type: ignore[no-untyped-call]
            for ((condition, text), _), values in zip(steered, apart, strict=True):
                found[condition - 1][text] = values
    return [torch.cat(parts) if parts else torch.empty(0) for parts in found]


def _divergence(lm: LanguageModel, steered: Tensor, unsteered: Tensor) -> Tensor:
    """Return the divergence of the next token after each state ``[tokens, d_model]`` of the last block."""
    few = max(1, LOGITS // len(lm.model.lm_head.weight))
    parts = []
    for one, other in zip(steered.split(few), unsteered.split(few), strict=True):  # type: ignore[no-untyped-call]
        p, q = (lm.logits(part).log_softmax(dim=-1) for part in (one, other))
        apart = (p.exp() * (p - q)).sum(dim=-1).clamp_min(0.0)
        parts.append(apart.nan_to_num(nan=torch.inf, posinf=torch.inf))  # numbers that are no longer finite: infinitely far
    return torch.cat(parts)


def percentile(divergences: Tensor) -> float:
    """Return the 95th percentile over tokens ``[tokens]``, interpolated between neighbours."""
    return float(torch.quantile(divergences.double(), PERCENTILE))


@dataclass(frozen=True)
class Match:
    """The multiplier at which a vector reaches a divergence.

    Attributes:
        multiplier: λ; None where no λ that is tried reaches the divergence.
        divergence: the percentile there; where there is no λ, the one nearest to the level. It is below the level where the
            percentile jumps over it.
        monotone: whether the percentile never fell while λ grew, among the multipliers tried.
    """

    multiplier: float | None
    divergence: float
    monotone: bool


def match_divergence(
    level: float, vectors: int, measure: Callable[[Sequence[tuple[int, float]]], Sequence[float]]
) -> list[Match]:
    """Find the multiplier at which each vector's percentile is ``level``, all vectors side by side.

    Each is measured at ``GRID``; between the first two of these with the level between them λ is interpolated on logarithmic
    scales, on which a small edit's divergence is a straight line. λ = 0, the unsteered model, belongs to the grid.

    Args:
        level: of the percentile, in nats, above 0.
        vectors: how many there are.
        measure: returns the percentile of each (vector, λ).
    """
    searches = [_Search(level) for _ in range(vectors)]
    while asked := [(i, multiplier) for i, search in enumerate(searches) for multiplier in search.ahead]:
        for search in searches:
            search.ahead = ()
        for (i, multiplier), value in zip(asked, measure(asked), strict=True):
            searches[i].tried[multiplier] = value
        for i in dict.fromkeys(i for i, _ in asked):
            searches[i].plan()
    return [search.result() for search in searches]


class _Search:
    """The search for one vector's multiplier.

    Attributes:
        tried: the percentile by multiplier.
        ahead: multipliers to try next.
    """

    def __init__(self, level: float) -> None:
        self.level = level
        self.tried: dict[float, float] = {0.0: 0.0}
        self.ahead: tuple[float, ...] = GRID

    def plan(self) -> None:
        """Decide on the next multiplier, if any is needed."""
        low, high = self._bracket()
        if self._reached(low) or (high is not None and (self._reached(high) or high / max(low, SMALLEST) < _NARROW)):
            return
        if high is None or low == 0:
            further = 4 * low if high is None else high / 4
            self.ahead = (further,) if SMALLEST <= further <= LARGEST else ()
            return
        below, above = self.tried[low], self.tried[high]
        share = 0.5 if below <= 0 else math.log(self.level / below) / math.log(above / below)
        self.ahead = (low * (high / low) ** min(max(share, 0.1), 0.9),)

    def _bracket(self) -> tuple[float, float | None]:
        """Return the first two neighbours among the multipliers tried with the level between them; None where none is above."""
        low = 0.0
        for multiplier, value in sorted(self.tried.items()):
            if value >= self.level:
                return low, multiplier
            low = multiplier
        return low, None

    def _reached(self, multiplier: float) -> bool:
        return abs(self.tried[multiplier] / self.level - 1) <= TOLERANCE

    def result(self) -> Match:
        """Return what was found; of a percentile that jumps over the level, the multiplier just below."""
        values = [value for _, value in sorted(self.tried.items())]
        monotone = all(after >= before * (1 - _SLACK) for before, after in pairwise(values))
        low, high = self._bracket()
        if high is not None and self._reached(high):
            return Match(high, self.tried[high], monotone)
        if low > 0 and (high is not None or self._reached(low)):
            return Match(low, self.tried[low], monotone)
        return Match(None, max(values) if high is None else self.tried[high], monotone)
