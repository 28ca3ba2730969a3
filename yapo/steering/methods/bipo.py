"""BiPO (arXiv 2406.00045): a dense vector trained by the bi-directional preference objective."""

from __future__ import annotations

from torch import Tensor

from yapo.steering.interventions import Dense
from yapo.steering.method import FitInputs
from yapo.steering.methods.caa import CAA
from yapo.steering.training.starts import starting_vectors, training_sets
from yapo.steering.training.trainer import Trainer


class BiPO:
    """h' = h + d·v."""

    name = "bipo"
    space = "dense"
    learns = True

    def fit(self, inputs: FitInputs) -> dict[str, Tensor]:
        """``[epochs, d_model]`` for each set."""
        lm, sets = inputs.language_model(), training_sets(inputs)
        starts = starting_vectors(inputs, sets, lm.d_model, CAA())
        trainer = Trainer(lm, inputs.layer, Dense(lm.d_model), inputs.store, inputs.train)
        return trainer.train(sets, inputs.log, inputs.checkpoint, starts)


METHOD = BiPO()
