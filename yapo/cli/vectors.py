"""Vectors, multipliers and autoencoders as the options of several commands name them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yapo.errors import YapoError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from yapo.models.sae import SAE
    from yapo.steering.vector import SteeringVector


@dataclass(frozen=True)
class Steering:
    """Vectors that steer together.

    Attributes:
        files: where they were read from.
        vectors: what was read.
        multipliers: one for each.
        saes: the autoencoder of each layer, where ``--sae`` gave one.
    """

    files: list[Path]
    vectors: list[SteeringVector]
    multipliers: list[float]
    saes: dict[int, SAE]

    @classmethod
    def of(cls, files: Sequence[Path], multipliers: Sequence[float], saes: Sequence[Path]) -> Steering:
        """Read vectors and autoencoders.

        Args:
            files: of the vectors.
            multipliers: one for each, one for all, or none for those in the headers.
            saes: autoencoders; each serves the layer that its configuration names, a single one all layers.

        Raises:
            YapoError: a file cannot be read, the numbers do not match, or two of several autoencoders have one layer or none.
        """
        import yapo
        from yapo.models.sae_places import named_sae

        vectors = [yapo.load_vector(file) for file in files]
        if len(multipliers) not in (0, 1, len(vectors)):
            raise YapoError(
                f"--multiplier: {len(multipliers)} numbers for {len(vectors)} vectors; give one for each, one for all, or none"
            )
        chosen = list(multipliers) or [vector.info.multiplier for vector in vectors]
        loaded = [named_sae(path) for path in saes]
        if len(loaded) == 1:
            by_layer = {layer: loaded[0] for vector in vectors for layer in vector.autoencoders}
        else:
            by_layer = {sae.layer: sae for sae in loaded if sae.layer is not None}
        if len(by_layer) < len(loaded) > 1:
            raise YapoError("--sae: several autoencoders of one layer, or of an unknown one; give one for each layer")
        return cls(list(files), vectors, chosen if len(chosen) > 1 else chosen * len(vectors), by_layer)

    @property
    def plain(self) -> bool:
        """Whether they were trained on raw prompts."""
        return any(vector.info.extra.get("plain") is True for vector in self.vectors)

    @property
    def label(self) -> str:
        """The files with their multipliers."""
        return " + ".join(f"{m:g} x {file.name}" for file, m in zip(self.files, self.multipliers, strict=True))

    def block(self, model: PreTrainedModel) -> AbstractContextManager[PreTrainedModel]:
        """Return the ``with`` block in which a model is steered."""
        import yapo

        return yapo.steer(model, self.vectors, self.multipliers, self.saes)
