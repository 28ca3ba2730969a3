"""YaPO (arXiv 2601.08441): the same objective as BiPO on a vector in the SAE's space."""

from __future__ import annotations

from torch import Tensor

from yapo.checks import one_of
from yapo.steering.interventions import Sparse
from yapo.steering.method import FitInputs
from yapo.steering.methods.sas import SAS
from yapo.steering.sparse_codes import SparseCodes
from yapo.steering.training.starts import starting_vectors, training_sets
from yapo.steering.training.trainer import Trainer
from yapo.steering.vector import THRESHOLDS

FEATURES = ("fires", "all")


class YaPO:
    """h' = Dec(ReLU(Enc(h) + d·v)) + h - Dec(Enc(h)), eq. 3.

    Options: ``threshold``, what follows the addition: relu as published, or the autoencoder's own jumprelu; ``features``,
    which are trained: those that fire on some token of the store, or all (from v = 0 the result is the same); ``init``.
    """

    name = "yapo"
    space = "sparse"
    learns = True

    def fit(self, inputs: FitInputs) -> dict[str, Tensor]:
        """``[epochs, d_sae]`` for each set."""
        threshold, features = (str(inputs.options.get(key, known[0])) for key, known in _OPTIONS.items())
        one_of("method.options.threshold", threshold, THRESHOLDS)
        one_of("method.options.features", features, FEATURES)
        lm, sets = inputs.language_model(), training_sets(inputs)
        starts = starting_vectors(inputs, sets, inputs.sae.d_sae, SAS())
        edit = Sparse(inputs.sae, threshold) if features == "fires" else EveryFeature(inputs.sae, threshold)
        trainer = Trainer(lm, inputs.layer, edit, inputs.store, inputs.train)
        return trainer.train(sets, inputs.log, inputs.checkpoint, starts)


_OPTIONS = {"threshold": THRESHOLDS, "features": FEATURES}


class EveryFeature(Sparse):
    """The sparse edit, fitted over all features of the autoencoder, also those that fire on no token."""

    def compact(self, codes: list[SparseCodes]) -> tuple[Sparse, list[SparseCodes]]:
        """See ``Intervention.compact``."""
        return self, codes


METHOD = YaPO()
