"""Quality of an autoencoder on the states it is used on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import DENSE_CODES, SAE


@dataclass(frozen=True)
class SaeReport:
    """Quality of an autoencoder on states of a model; see ``measure``.

    Attributes:
        explained_variance: at most 1; below 0 where the mean of the states would be a better reconstruction.
        mean_l0: active features per token.
        dead_fraction: share of the features active on none of the tokens.
        n_tokens: tokens measured.
    """

    explained_variance: float
    mean_l0: float
    dead_fraction: float
    n_tokens: int


@torch.no_grad()
def measure(sae: SAE, hidden: Iterable[Tensor]) -> SaeReport:
    """Measure an autoencoder on a model's own states.

    With the states h_1 .. h_n, their mean h̄, their reconstructions ĥ_i and their codes s_i:

        explained variance = 1 - Σ_i ‖h_i - ĥ_i‖² / Σ_i ‖h_i - h̄‖²
        L0                 = (1/n) Σ_i #{j : s_ij > 0}

    The first token of a prompt (BOS) is to be left out: its state is many times larger than any other and would be most of the
    variance.

    Args:
        sae: the autoencoder; computes on its own device.
        hidden: states ``[tokens, d_model]``, of any number of texts.
    """
    n, fired, residual, squared = 0, 0, 0.0, 0.0
    total = torch.zeros(sae.d_model, dtype=torch.float64, device=sae.W_dec.device)
    alive = torch.zeros(sae.d_sae, dtype=torch.bool, device=sae.W_dec.device)
    for states in hidden:
        for rows in torch.split(states.to(sae.W_dec.device).float(), max(1, DENSE_CODES // sae.d_sae)):
            s = sae.encode(rows)
            n, fired = n + len(rows), fired + int((s > 0).sum())
            alive |= (s > 0).any(dim=0)
            residual += float((rows - sae.decode(s)).double().square().sum())
            squared += float(rows.double().square().sum())
            total += rows.double().sum(dim=0)
    variance = squared - float(total.square().sum()) / n if n else 0.0
    explained = 1 - residual / variance if variance > 0 else math.nan  # no states, or all alike: nothing to explain
    return SaeReport(explained, fired / max(n, 1), 1.0 - float(alive.float().mean()), n)


def reconstruction_quality(sae: SAE, hidden: Iterable[Tensor]) -> tuple[float, float]:
    """Return the explained variance and L0 alone; see ``measure``."""
    report = measure(sae, hidden)
    return report.explained_variance, report.mean_l0


def check_quality(sae: SAE, explained_variance: float, least: float) -> None:
    """Refuse an autoencoder that does not describe the model's states: it was made for another model, layer or scale.

    Raises:
        YapoError: less variance is explained than ``sae.min_explained_variance``.
    """
    if not explained_variance >= least:  # NaN is refused too
        raise YapoError(
            f"{sae.source}: explains {explained_variance:.3f} of the variance of this model's states, less than "
            f"sae.min_explained_variance={least}; give the autoencoder of this model and layer, or lower the limit knowingly"
        )
