"""The order in which options are shown: one permutation for each question, decided by a seed."""

from __future__ import annotations

import numpy as np


def option_order(count: int, seed: int, name: str, phrasing: int = 0) -> list[int]:
    """Return the places of the options in their new order.

    Args:
        count: how many options there are.
        seed: of the data.
        name: of the question, with its country.
        phrasing: which wording of the question.
    """
    return [int(place) for place in np.random.default_rng([seed, phrasing, *name.encode()]).permutation(count)]
