"""The same activations read by another autoencoder: only the codes depend on it."""

from __future__ import annotations

from dataclasses import replace

import torch

from yapo.models.sae import SAE, check_fits
from yapo.steering.codes import Codes
from yapo.steering.store import ActivationStore


@torch.no_grad()
def encoded_by(sae: SAE, store: ActivationStore) -> ActivationStore:
    """The store that ``build_store`` would make with another autoencoder of the same layer; no model is run.

    Args:
        sae: computes on its own device.
        store: its states and reference are shared, not copied.

    Raises:
        YapoError: the autoencoder is for another width or layer.
    """
    check_fits(sae, store.hidden[0].shape[-1], store.key.layer)
    device = sae.W_dec.device
    codes = [Codes.of(sae, states[None].to(device)).to(torch.device("cpu")) for states in store.hidden]
    return replace(store, key=replace(store.key, sae=sae.digest), codes=codes)
