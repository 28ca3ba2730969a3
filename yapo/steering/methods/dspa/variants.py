"""DSPA with one thing changed at a time: fewer pairs, another option, another pair of layers.

What a map is made of depends on the pairs, the layers and how A is counted; ``k_prompt``, ``mode``, ``edits``, ``signed``,
``turns`` and α only say how it is used.
So the variants are fitted together where they share a map, and the model runs once over the pairs for each pair of layers and
each way to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from yapo.checks import require
from yapo.steering.method import FitInputs, read_options
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.methods.dspa.method import DSPA
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.steering.training.train_sets import TrainSet

OWN, PAIRS, LAYERS = "setting", "pairs", "layers"


@dataclass(frozen=True)
class MapVariant:
    """One change.

    Attributes:
        change: what is changed: an option, ``PAIRS``, ``LAYERS``, or ``OWN`` for nothing.
        value: to what, as a table shows it.
        options: all options.
        draw: which of several subsets of the pairs.
    """

    change: str
    value: str
    options: DspaOptions
    draw: int = 0


@dataclass(frozen=True)
class VariantMap:
    """A variant with its map."""

    variant: MapVariant
    map: ConditionalMap


def variants(
    options: DspaOptions,
    changes: Mapping[str, Sequence[Any]],
    layers: Sequence[int],
    pairs: Sequence[int],
    subsets: int,
    available: int,
) -> list[MapVariant]:
    """Return every variant, the experiment's own first; values that are its own are not listed again.

    Args:
        options: the experiment's.
        changes: options with the values to try.
        layers: layers of the grid l_in ≤ l_out.
        pairs: how many training pairs to try; those below ``available``, what there is, are drawn ``subsets`` times each.

    Raises:
        YapoError: a value is impossible.
    """
    require(options.pairs is None, "method.options.pairs", options.pairs, "null: the study draws subsets itself")
    made = [MapVariant(OWN, "", options)]
    made += [MapVariant(PAIRS, str(n), options, draw) for n in sorted(pairs) if n < available for draw in range(subsets)]
    for name, values in changes.items():
        others = [value for value in values if value != getattr(options, name)]
        made += [
            MapVariant(name, option_text(value), read_options(DspaOptions, {**asdict(options), name: value})) for value in others
        ]
    grid = [(low, high) for low in sorted(layers) for high in sorted(layers) if low <= high]
    for low, high in grid:
        if (low, high) != (options.layer_in, options.layer_out):
            made.append(MapVariant(LAYERS, f"{low} to {high}", replace(options, layer_in=low, layer_out=high)))
    return made


def own_values(options: DspaOptions, available: int) -> dict[str, str]:
    """Return the experiment's own value of each change, as a table shows it; ``available``: how many pairs there are."""
    values = {name: option_text(value) for name, value in asdict(options).items()}
    return values | {PAIRS: str(available), LAYERS: f"{options.layer_in} to {options.layer_out}"}


def option_text(value: Any) -> str:
    """Return an option's value as it stands in a table."""
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def fit_variants(inputs: FitInputs, part: TrainSet, wanted: Sequence[MapVariant], seed: int) -> list[VariantMap]:
    """Fit them to the pairs of one set, in their order.

    A smaller subset of a draw is part of a larger one of the same draw, so that sizes compare on like pairs.

    Args:
        inputs: what DSPA may learn from; its options and sets are set here.
        part: the pairs.
        wanted: the variants.
        seed: of the draws.
    """
    made: dict[tuple[DspaOptions, str], ConditionalMap] = {}
    sets: dict[DspaOptions, dict[str, TrainSet]] = {}
    for variant in wanted:
        name = _set_name(variant)
        sets.setdefault(_counted(variant.options), {})[name] = replace(part, name=name, train=_drawn(part, variant, seed))
    for options, parts in sets.items():
        vectors = DSPA().fit(replace(inputs, options=asdict(options), sets=list(parts.values())))
        for name, vector in vectors.items():
            assert isinstance(vector.payload, ConditionalMap)
            made[options, name] = vector.payload
    return [VariantMap(v, _used(made[_counted(v.options), _set_name(v)], v.options)) for v in wanted]


def _counted(options: DspaOptions) -> DspaOptions:
    """Return the options without those that say only how a map is used."""
    return replace(options, k_prompt=1, mode="ablate", alpha=1.0, edits="answer", signed=True, turns="all")


def _used(made: ConditionalMap, options: DspaOptions) -> ConditionalMap:
    """Return the map, used as the options say."""
    used = {name: getattr(options, name) for name in ("k_prompt", "mode", "edits", "signed", "turns")}
    return replace(made, info=replace(made.info, **used))


def _set_name(variant: MapVariant) -> str:
    return f"{variant.value} pairs, draw {variant.draw}" if variant.change == PAIRS else "all pairs"


def _drawn(part: TrainSet, variant: MapVariant, seed: int) -> list[int]:
    if variant.change != PAIRS:
        return part.train
    order = np.random.default_rng([seed, variant.draw]).permutation(len(part.train))
    return [part.train[i] for i in sorted(order[: int(variant.value)])]
