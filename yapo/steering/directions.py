"""Unit directions that separate two sides, given the sign and the length that make them steering vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from yapo.errors import YapoError


def first_component(rows: Tensor) -> Tensor:
    """Return the unit vector along which rows ``[n, d]`` vary most about 0, ``[d]``: their first right singular vector.

    Its sign is arbitrary. Rows to be centred are centred by the caller.
    """
    _, _, axes = torch.linalg.svd(rows.double(), full_matrices=False)
    first: Tensor = axes[0]
    return first.to(rows.dtype)


def along_separation(direction: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Return a vector along a direction, as long as the two sides lie apart along it.

    So that λ = 1 means what it does for the mean difference: it moves the mean of one side to that of the other, as far as this
    direction goes. Published uses take unit vectors and look for a strength.

    Args:
        direction: of any length and sign, ``[d]``.
        positive, negative: states ``[n, d]`` and ``[m, d]``.

    Raises:
        YapoError: there is no direction, because the states of both sides are equal.
    """
    if not direction.any():
        raise YapoError(
            "the states of both sides are equal, so that no direction tells them apart; take another contrast or layer"
        )
    unit = torch.nn.functional.normalize(direction, dim=0)
    apart: Tensor = (positive.mean(dim=0) - negative.mean(dim=0)) @ unit
    return apart * unit
