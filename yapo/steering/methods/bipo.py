"""BiPO (arXiv 2406.00045): a dense vector trained by the bi-directional preference objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yapo.steering.interventions import Dense
from yapo.steering.method import FitInputs, read_options
from yapo.steering.methods import caa
from yapo.steering.objective import Objective
from yapo.steering.spaces import DENSE
from yapo.steering.training.starts import MEAN_DIFFERENCE, Start, starting_vectors, training_sets
from yapo.steering.training.trainer import Trainer
from yapo.steering.vector import TrainedVector


@dataclass(frozen=True)
class Options:
    """``method.options``: where a vector starts."""

    init: Start


class BiPO:
    """h' = h + d·v."""

    space = DENSE
    learns = True

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[epochs, d_model]`` for each set."""
        return train_dense(inputs, read_options(Options, inputs.options).init)


def train_dense(
    inputs: FitInputs, init: Start, objective: Objective | None = None, multipliers: Sequence[float] = (1.0,)
) -> dict[str, TrainedVector]:
    """Return dense vectors after each epoch, ``[epochs, d_model]`` for each set; see ``Trainer``."""
    lm, sets = inputs.language_model(), training_sets(inputs)
    starts = starting_vectors(inputs, sets, lm.d_model, init, caa.METHOD, {"contrast": MEAN_DIFFERENCE})
    trainer = Trainer(lm, inputs.layer, Dense(lm.d_model), inputs.store, inputs.train, objective, multipliers)
    vectors = trainer.train(sets, inputs.log, inputs.checkpoint, starts)
    return {part.name: inputs.vector(part, vectors[part.name]) for part in sets}


METHOD = BiPO()
