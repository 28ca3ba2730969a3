"""YaPO (arXiv 2601.08441): the same objective as BiPO on a vector in the SAE's space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yapo.steering.interventions import Sparse, Threshold
from yapo.steering.method import FitInputs, read_options
from yapo.steering.methods import sas
from yapo.steering.spaces import SPARSE
from yapo.steering.sparse_codes import SparseCodes
from yapo.steering.training.starts import MEAN_DIFFERENCE, Start, starting_vectors, training_sets
from yapo.steering.training.trainer import Trainer
from yapo.steering.vector import TrainedVector


@dataclass(frozen=True)
class Options:
    """``method.options``.

    Attributes:
        threshold: what follows the addition: ReLU as published, or the autoencoder's own thresholds.
        features: which are trained: those that fire on some token of the store, or all. From v = 0 the result is the same.
        init: where a vector starts.
    """

    threshold: Threshold
    features: Literal["fires", "all"]
    init: Start


class YaPO:
    """h' = Dec(ReLU(Enc(h) + d·v)) + h - Dec(Enc(h)), eq. 3."""

    space = SPARSE
    learns = True

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[epochs, d_sae]`` for each set."""
        options = read_options(Options, inputs.options)
        lm, sets = inputs.language_model(), training_sets(inputs)
        start_options = {"contrast": MEAN_DIFFERENCE, "tau": 0.7, "threshold": options.threshold}
        starts = starting_vectors(inputs, sets, inputs.sae.d_sae, options.init, sas.METHOD, start_options)
        edit = (Sparse if options.features == "fires" else EveryFeature)(inputs.sae, options.threshold)
        trainer = Trainer(lm, inputs.layer, edit, inputs.store, inputs.train)
        vectors = trainer.train(sets, inputs.log, inputs.checkpoint, starts)
        return {part.name: inputs.vector(part, vectors[part.name], threshold=options.threshold) for part in sets}


class EveryFeature(Sparse):
    """The sparse edit, trained over all features of the autoencoder, also those that fire on no token."""

    def compact(self, codes: list[SparseCodes]) -> tuple[Sparse, list[SparseCodes]]:
        """See ``Intervention.compact``."""
        return self, codes


METHOD = YaPO()
