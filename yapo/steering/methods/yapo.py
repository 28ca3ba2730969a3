"""YaPO (arXiv 2601.08441): the same objective as BiPO on a vector in the SAE's space."""

from __future__ import annotations

from torch import Tensor

from yapo.steering.intervention import Sparse
from yapo.steering.methods.base import FitInputs, register
from yapo.steering.trainer import Trainer


class YaPO:
    """h' = Dec(ReLU(Enc(h) + d·v)) + h - Dec(Enc(h)), eq. 3."""

    name = "yapo"
    space = "sparse"

    def fit(self, inputs: FitInputs) -> dict[str, Tensor]:
        """``[epochs, d_sae]`` for each set."""
        lm = inputs.language_model()
        trainer = Trainer(lm, inputs.layer, Sparse(inputs.sae), inputs.store, inputs.train)
        return trainer.train(inputs.sets, inputs.log, inputs.checkpoint)


register(YaPO())
