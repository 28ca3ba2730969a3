"""The embedded world's autoencoders: how they are trained, and which rows are held out to measure them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from yapo.config import SaeTrainConfig
from yapo.errors import YapoError
from yapo.models.sae_quality import SaeReport, measure
from yapo.models.sae_training import train_sae

SAE_CONFIG = SaeTrainConfig(
    seed=7, width=1024, k=16, steps=2000, batch_size=1024, lr=8e-3, warmup_steps=100, decay_steps=1500, dead_after=20
)

# Every tenth run of rows is held out. Neighbouring rows come from one document and resemble each other, so that single
# held-out rows would look better than rows of documents never trained on.
RUN, EVERY = 256, 10


def train_and_measure(activations: Tensor, config: SaeTrainConfig, folder: Path, model_name: str, layer: int) -> SaeReport:
    """Train on nine tenths of the rows, and measure on the others.

    Args:
        activations: residual stream after block ``layer``, float32, ``[n, d_model]``, document after document, BOS
            positions left out.
        config, folder, model_name, layer: as ``train_sae`` takes them.

    Raises:
        YapoError: too few rows.
    """
    if len(activations) < RUN * EVERY:
        raise YapoError(f"activations: {len(activations)} rows, {RUN * EVERY} needed to hold some out; collect more")
    kept_apart = held_out(len(activations))
    sae, _ = train_sae(activations[~kept_apart], config, folder, model_name, layer)
    return measure(sae, activations[kept_apart].split(8192))  # type: ignore[no-untyped-call]


def held_out(rows: int) -> Tensor:
    """Return which rows are kept apart to measure on, bool ``[rows]``."""
    return torch.arange(rows) // RUN % EVERY == EVERY - 1
