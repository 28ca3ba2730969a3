"""Strongest examples of a feature, and their agreement before and during steering and between countries.

The *examples* of a feature in a country are its n strongest tokens in that country's texts, one per fact (all wordings of a
fact count as one, with the strongest token among them). Two lists A and B of examples are compared by what they point at:

    agreement(A, B) = |A ∩ B| / max(|A|, |B|)      of multisets of labels

that is the share of examples that find a partner with the same label, one to one. Labels are the token (its vocabulary id) or
the topic of its question; topics can be compared across languages. It is 1 for equal lists, 0 for disjoint ones, and undefined
where both are empty.

Lists of a few examples hide that a feature may start to fire everywhere. ``kept_mass`` sees that: the share of a feature's
activation that stays where it was, over all tokens t of the texts, s before and s' during steering:

    kept(s, s') = Σ_t min(s_t / Σs, s'_t / Σs')

A feature that steering silences, or that did not fire before, has no such numbers and is counted apart.

The control is another feature that fires about as often on the same texts (``yapo.studies.features.effects.controls``), compared
in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yapo.models.sae import SAE
from yapo.steering.vector import SteeringVector
from yapo.studies.features.effects import Texts, activations, controls, steered

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


def strongest(activation: Floats, fact: Integers, n: int) -> Integers:
    """Return the tokens of the ``n`` strongest examples, strongest first; ties in the order of the texts.

    Args:
        activation: a feature's code on every token, ``[tokens]``.
        fact: which fact each token's text asks for, ``[tokens]``.
        n: how many; fewer where the feature fires on fewer facts.
    """
    fires = np.flatnonzero(activation > 0)
    order = fires[np.argsort(-activation[fires], kind="stable")]
    _, first = np.unique(fact[order], return_index=True)
    return order[np.sort(first)[:n]]


def agreement(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Return the share of examples with a partner of the same label (module docstring); NaN where both lists are empty."""
    longest = max(len(a), len(b))
    return (Counter(a) & Counter(b)).total() / longest if longest else float("nan")


def kept_mass(before: Floats, during: Floats) -> float:
    """Return the share of the activation that stays on the same tokens (module docstring); NaN where either never fires."""
    total, after = float(before.sum(dtype=np.float64)), float(during.sum(dtype=np.float64))
    if total == 0 or after == 0:
        return float("nan")
    return float(np.minimum(before / total, during / after).sum(dtype=np.float64))


@dataclass(frozen=True)
class FeatureExamples:
    """One feature of a vector on a country's texts.

    Attributes:
        feature, control: numbers in the autoencoder.
        fires, fires_during: share of the tokens on which it fires, before and during steering.
        activation: mean code over all tokens, before steering.
        before, during, of_control: its strongest tokens (places in the texts), and the control's before steering.
        values, values_during: codes on the first two.
        kept_tokens, kept_topics, kept_mass: agreement of before and during, and activation that stays (module docstring).
        control_tokens, control_topics, control_mass: the same between the control before, and the feature during steering.
    """

    feature: int
    control: int
    fires: float
    fires_during: float
    activation: float
    before: Integers
    during: Integers
    of_control: Integers
    values: Floats
    values_during: Floats
    kept_tokens: float
    kept_topics: float
    kept_mass: float
    control_tokens: float
    control_topics: float
    control_mass: float


def find_examples(
    vector: SteeringVector,
    sae: SAE,
    texts: Texts,
    features: Tensor,
    fact: Integers,
    topic: Integers,
    n: int,
    seed: int,
) -> list[FeatureExamples]:
    """Find the examples of some features of a vector, before and during steering.

    Args:
        vector: the vector, at its own λ.
        sae: the autoencoder.
        texts: the texts that are searched.
        features: which, ``[features]``.
        fact, topic: of each token's question, ``[tokens]``.
        n: examples of each feature.
        seed: of the choice of controls.
    """
    others = controls(texts.firing(sae.d_sae), features, seed)
    unsteered = activations(sae, texts.hidden, torch.cat([features, others])).cpu().numpy()
    during = activations(sae, steered(vector, sae, texts), features).cpu().numpy()
    ids, width = texts.ids.numpy(), len(features)
    seen = []
    for place, (feature, other) in enumerate(zip(features.tolist(), others.tolist(), strict=True)):
        before, after, control = unsteered[:, place], during[:, place], unsteered[:, width + place]
        top_before, top_during, top_control = (strongest(a, fact, n) for a in (before, after, control))
        alive = len(top_before) > 0 and len(top_during) > 0  # else there is nothing that could be kept

        def agree(labels: Integers, a: Integers, b: Integers, alive: bool = alive) -> float:
            return agreement(labels[a].tolist(), labels[b].tolist()) if alive else float("nan")

        seen.append(
            FeatureExamples(
                feature,
                other,
                float((before > 0).mean()),
                float((after > 0).mean()),
                float(before.mean()),
                top_before,
                top_during,
                top_control,
                before[top_before],
                after[top_during],
                agree(ids, top_before, top_during),
                agree(topic, top_before, top_during),
                kept_mass(before, after) if alive else float("nan"),
                agree(ids, top_control, top_during),
                agree(topic, top_control, top_during),
                kept_mass(control, after) if alive else float("nan"),
            )
        )
    return seen
