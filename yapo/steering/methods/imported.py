"""A vector from a file: one of another tool (read by ``yapo import``), of another study, or made by hand.

It learns nothing. The study takes it as it is, λ included, and validation chooses a multiple of it as for every other method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from yapo.checks import SETTINGS, one_of
from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.paths import imported_vector
from yapo.steering.method import FitInputs, read_options
from yapo.steering.spaces import DENSE, SAESlice
from yapo.steering.steer_checks import scaled_vector
from yapo.steering.vector import SteeringVector, TrainedVector


@dataclass(frozen=True)
class Options:
    """``method.options``: the vector's file. COUNTRY, TASK and SETTING in its path stand for those of each vector."""

    file: str

    def __post_init__(self) -> None:
        if not self.file:
            raise YapoError("method.options.file: empty; give the file of a vector, as vectors/COUNTRY-TASK-SETTING.safetensors")


class Imported:
    """Dense, or sparse with the study's own autoencoder: each vector's header says which."""

    space = DENSE
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return λ·v of the file for each set, ``[1, width]``.

        Raises:
            YapoError: a file is missing or no vector, or its vector is for another model, layer or autoencoder.
        """
        pattern, place = read_options(Options, inputs.options).file, inputs.info.extra
        if "country" not in place:
            raise YapoError("method=imported: learns from no pairs, so that none can be left out; leave it out of this study")
        vectors = {}
        for part in inputs.sets:
            path = imported_vector(pattern, place["country"], place["task"], one_of("setting", part.name, SETTINGS))
            vector = SteeringVector.load(path)
            _check(vector, f"method.options.file={path}", inputs)
            u = scaled_vector(_whole(vector, inputs.sae.d_sae), vector.info.multiplier, _width(vector, inputs.sae))
            header = {key: getattr(vector.info, key) for key in ("space", "threshold", "steer_bos", "convention")}
            vectors[part.name] = inputs.vector(part, u[None], **header, **vector.space.header(inputs.sae))
        return vectors


def check_space(vector: SteeringVector, name: str) -> None:
    """Refuse a vector that is neither dense nor sparse; ``name`` is the setting and the file that errors name."""
    if vector.space.reads_prompt:
        made = vector.info.method
        raise YapoError(f"{name}: its edit depends on the prompt; give a dense or a sparse vector, or train {made} here")


def check_made_for(vector: SteeringVector, name: str, model: str, digest: str) -> None:
    """Refuse a vector that was not made for these weights."""
    info = vector.info
    if info.model_digest != digest:
        raise YapoError(
            f"{name}: made for {info.model} ({info.model_digest}), but the study's model is {model} ({digest}); "
            "give a vector for that"
        )


def check_layer(vector: SteeringVector, name: str, layer: int) -> None:
    """Refuse a vector for another layer than the study's."""
    own = vector.info.layer
    if own != layer:
        raise YapoError(f"{name}: steers layer {own}, the study {layer}; set discovery.layer={own}")


def _check(vector: SteeringVector, name: str, inputs: FitInputs) -> None:
    """Refuse a vector that the study cannot apply."""
    info = vector.info
    check_space(vector, name)
    check_made_for(vector, name, inputs.info.model, inputs.info.model_digest)
    check_layer(vector, name, inputs.layer)
    if vector.space.of_features and info.sae_digest != inputs.sae.digest:
        raise YapoError(f"{name}: needs the autoencoder {info.sae} ({info.sae_digest}), which the study's is not; give its own")


def _whole(vector: SteeringVector, d_sae: int) -> SteeringVector:
    """Return the vector with an entry for every feature where it carries only those that it touches."""
    if not isinstance(vector.payload, SAESlice):
        return vector
    values = torch.zeros(d_sae).index_copy(0, vector.payload.features, vector.values)
    return replace(vector, values=values, payload=None)


def _width(vector: SteeringVector, sae: SAE) -> int:
    return sae.d_sae if vector.space.of_features else sae.d_model


METHOD = Imported()
