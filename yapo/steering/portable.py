"""Make a sparse vector small and free-standing: keep its strongest features, carry them, give it a dense stand-in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.steering.interventions import Sparse, Threshold
from yapo.steering.spaces import SAESlice
from yapo.steering.vector import SteeringVector


def pruned(values: Tensor, sae: SAE, top_k: int) -> Tensor:
    """Keep the ``top_k`` features that can move the residual stream furthest, by abs(v_j)·‖W_dec[j]‖; set the others to 0.

    Args:
        values: a sparse vector ``[d_sae]``.
        sae: its autoencoder.
        top_k: how many features to keep; all where the vector touches fewer.
    """
    reach = values.abs() * sae.W_dec.norm(dim=1).to(values.device)
    kept = reach.topk(min(top_k, len(values))).indices
    return torch.zeros_like(values).index_copy(0, kept, values[kept])


def carry(vector: SteeringVector, sae: SAE) -> SteeringVector:
    """Return the same vector together with the features it touches; steering by it needs no autoencoder.

    Raises:
        YapoError: the vector is dense or zero, the autoencoder is not its own, or it is a TopK one, whose features compete.
    """
    if not vector.space.of_features:
        raise YapoError(f"a {vector.space.name} vector touches no features; nothing to carry")
    if sae.digest != vector.info.sae_digest:
        raise YapoError(
            f"the vector was trained with {vector.info.sae} ({vector.info.sae_digest}), not {sae.source} ({sae.digest})"
        )
    features = vector.values.nonzero()[:, 0]
    if len(features) == 0:
        raise YapoError("the vector is zero everywhere; nothing to carry")
    return replace(vector, values=vector.values[features], payload=SAESlice(features, sae.columns(features)))


@dataclass(frozen=True)
class StandIn:
    """A dense vector in place of a sparse one.

    Attributes:
        values: the mean change of the residual stream, ``[d_model]``.
        explained: share of the squared change that it explains, 0 to 1; the rest depends on the token.
    """

    values: Tensor
    explained: float


def mean_change(changes: Iterable[Tensor], d_model: int) -> StandIn:
    """Return the constant addition nearest to the changes that an edit makes to tokens, ``[tokens, d_model]`` each."""
    total, squares, tokens = torch.zeros(d_model), 0.0, 0
    for change in changes:
        total, squares, tokens = total + change.sum(dim=0), squares + float(change.square().sum()), tokens + len(change)
    mean = total / tokens
    return StandIn(mean, tokens * float(mean.square().sum()) / squares if squares else 0.0)


def stand_in(sae: SAE, threshold: Threshold, u: Tensor, states: Sequence[Tensor]) -> StandIn:
    """Return the constant addition nearest to the sparse edit by ``u`` (λ·v, ``[d_sae]``), in the mean over tokens.

    Args:
        sae: the autoencoder, and ``threshold`` that follows the addition.
        u: the scaled vector.
        states: residual stream of steered tokens, ``[tokens, d_model]`` each.
    """
    intervention = Sparse(sae, threshold)

    def change(h: Tensor) -> Tensor:
        return intervention.changes(h[None], u, torch.ones(1, len(h), dtype=torch.bool, device=h.device)).cpu()

    return mean_change(map(change, states), sae.d_model)
