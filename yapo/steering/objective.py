"""The bi-directional preference objective of BiPO and YaPO.

    m    = [log π_v(y_w|x) - log π_v(y_l|x)] - [log π_0(y_w|x) - log π_0(y_l|x)]
    loss = -log σ(d·β·m)                                    (YaPO eq. 4 with the sign of its Algorithm 1)

log π sums over response tokens, end-of-turn included; π_v is steered by d·v, π_0 is the untouched model.
"""

from __future__ import annotations

from torch import Tensor, nn


def preference_margin(chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor) -> Tensor:
    """m for each pair, from summed log-probabilities ``[pairs]``."""
    return (chosen - rejected) - (reference_chosen - reference_rejected)


def preference_loss(margin: Tensor, direction: Tensor, beta: float) -> Tensor:
    """-log σ(d·β·m) for each pair; ``direction`` holds d in {-1, 1}."""
    return -nn.functional.logsigmoid(beta * direction * margin)
