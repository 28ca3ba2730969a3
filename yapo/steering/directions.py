"""Unit directions that separate two sides, given the sign and the length that make them steering vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from yapo.errors import YapoError


def first_component(rows: Tensor) -> Tensor:
    """Return the unit vector along which rows ``[n, d]`` vary most about 0, ``[d]``: their first right singular vector.

    Its sign is arbitrary. Rows to be centred are centred by the caller.
    """
    # The eigenvectors of the smaller of the two products: n is often far below d.
    wide = rows.double()
    tall = len(wide) >= wide.shape[1]
    vectors: Tensor = torch.linalg.eigh(wide.T @ wide if tall else wide @ wide.T).eigenvectors
    direction = vectors[:, -1] if tall else wide.T @ vectors[:, -1]
    return torch.nn.functional.normalize(direction, dim=0).to(rows.dtype)


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
