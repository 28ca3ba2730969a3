"""Vectors of the tiny models, and their steering by definition."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from yapo.models.sae import SAE
from yapo.steering.vector import SteeringVector, VectorInfo

LAYER = 1
DENSE = VectorInfo("caa", "dense", LAYER, "tiny", "", multiplier=1.5)
PROMPTS = ["What do people eat?", "ماذا يأكل الناس؟", "Was isst man?", "¿Qué se come?"]


def dense_vector(**header: object) -> SteeringVector:
    """A dense vector for a tiny model."""
    values = 0.5 * torch.randn(32, generator=torch.Generator().manual_seed(1))
    return SteeringVector(values, replace(DENSE, **header))  # type: ignore[arg-type]


def sparse_vector(sae: SAE, **header: object) -> SteeringVector:
    """A sparse vector for a tiny model; its autoencoder is not where its header says."""
    info = replace(DENSE, method="yapo", space="sparse", sae="nowhere", sae_digest=sae.digest, **header)  # type: ignore[arg-type]
    return SteeringVector(torch.randn(64, generator=torch.Generator().manual_seed(1)), info)


def steered_everywhere(model: PreTrainedModel, layer: int, u: Tensor, ids: Tensor) -> Tensor:
    """Logits ``[tokens, vocabulary]`` of one row to whose every position ``u`` is added behind a block."""

    def hook(_module: object, _args: object, hidden: Tensor) -> Tensor:
        return hidden + u

    handle = model.model.layers[layer].register_forward_hook(hook)
    logits: Tensor = model(input_ids=ids).logits[0]
    handle.remove()
    return logits
