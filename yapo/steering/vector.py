"""The steering-vector file: safetensors with a JSON header that says what the vector is for.

A sparse vector can carry the encoder columns and decoder rows of the features that it touches. All others cancel in YaPO's
eq. 3, so steering by it needs no other file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.tensors import load_tensors, save_tensors

SPACES = ("dense", "sparse")
THRESHOLDS = ("relu", "jumprelu")
CONVENTION = (
    "steer with u = d * multiplier * vector at every position but BOS, added to the output of decoder block `layer` (0-based)"
)


@dataclass(frozen=True)
class VectorInfo:
    """The header.

    Attributes:
        method: caa, sas, bipo, yapo, or random.
        space: "dense" (added to the residual stream) or "sparse" (added to SAE codes, YaPO eq. 3).
        layer: 0-based decoder block whose output is steered.
        model: name or path of the model, and ``model_digest`` of its weights.
        sae: name or path of the SAE, and ``sae_digest``; empty for dense vectors.
        multiplier: the λ chosen on validation; 1 where nothing was chosen.
        threshold: what follows the addition in sparse space, "relu" or "jumprelu".
        convention: what λ multiplies and where, in words.
        data_hash, config_hash: what it was trained on and how.
        extra: anything a stage wants to keep beside it (country, task, setting, epoch, versions).
    """

    method: str
    space: str
    layer: int
    model: str
    model_digest: str
    sae: str = ""
    sae_digest: str = ""
    multiplier: float = 1.0
    threshold: str = "relu"
    steer_bos: bool = False
    convention: str = CONVENTION
    data_hash: str = ""
    config_hash: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise YapoError(f"space={self.space}: a vector is {' or '.join(SPACES)}")
        if self.threshold not in THRESHOLDS:
            raise YapoError(f"threshold={self.threshold}: choose one of {', '.join(THRESHOLDS)}")

    @classmethod
    def of(cls, header: dict[str, Any], path: Path | str) -> VectorInfo:
        """The header read from ``path``."""
        try:
            return cls(**header)
        except (TypeError, YapoError) as error:
            raise YapoError(f"{path}: not a steering vector of this project ({error}); make it again") from None


@dataclass(frozen=True)
class Carried:
    """The part of an autoencoder that a vector touches.

    Attributes:
        features: their numbers in the whole autoencoder, ascending, ``[n]``.
        sae: those features alone.
    """

    features: Tensor
    sae: SAE


@dataclass(frozen=True)
class SteeringVector:
    """A vector and its header.

    Attributes:
        values: float32; ``[d_model]`` dense, ``[d_sae]`` sparse, ``[n]`` sparse and carrying its n features.
        info: the header.
        carried: the features, where the vector carries them.
        dense: a dense vector that stands in for a sparse one, ``[d_model]``, to be used at multiplier 1; see ``stand_in``.
    """

    values: Tensor
    info: VectorInfo
    carried: Carried | None = None
    dense: Tensor | None = None

    def stand_in(self) -> SteeringVector:
        """The dense vector that stands in for this one; what it costs stands in ``info.extra["stand_in"]``."""
        if self.dense is None:
            raise YapoError("this vector has no dense stand-in; take one that the target `portable` made")
        info = replace(self.info, space="dense", sae="", sae_digest="", threshold="relu", multiplier=1.0)
        return SteeringVector(self.dense, info)

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all."""
        tensors, header = {"vector": self.values}, asdict(self.info)
        if self.dense is not None:
            tensors["dense"] = self.dense
        if self.carried is not None:
            sae = self.carried.sae
            tensors |= {"features": self.carried.features, "W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec}
            tensors |= {"b_dec": sae.b_dec} | ({} if sae.threshold is None else {"threshold": sae.threshold})
            header["carried"] = {"activation": sae.activation, "apply_b_dec_to_input": sae.apply_b_dec_to_input}
        save_tensors(Path(path), tensors, header)

    @classmethod
    def load(cls, path: Path | str) -> SteeringVector:
        """Read a file written by ``save``."""
        tensors, header = load_tensors(Path(path))
        if "vector" not in tensors:
            raise YapoError(f"{path}: not a steering vector; expected a tensor 'vector', found {', '.join(sorted(tensors))}")
        kind = header.pop("carried", None)
        info = VectorInfo.of(header, path)
        carried = None if kind is None else _carried(tensors, kind, info, str(path))
        return cls(tensors["vector"], info, carried, tensors.get("dense"))


def _carried(tensors: dict[str, Tensor], kind: dict[str, Any], info: VectorInfo, source: str) -> Carried:
    missing = {"features", "W_enc", "b_enc", "W_dec", "b_dec"} - tensors.keys()
    if missing:
        raise YapoError(f"{source}: lacks {', '.join(sorted(missing))} of the autoencoder it says it carries; make it again")
    sae = SAE(
        W_enc=tensors["W_enc"],
        b_enc=tensors["b_enc"],
        W_dec=tensors["W_dec"],
        b_dec=tensors["b_dec"],
        activation=kind["activation"],
        threshold=tensors.get("threshold"),
        k=None,
        apply_b_dec_to_input=kind["apply_b_dec_to_input"],
        source=source,
        layer=info.layer,
        hook_name=None,
        model_name=info.model,
    )
    return Carried(tensors["features"], sae)


def random_like(norm: float, width: int, seed: int) -> Tensor:
    """The control: a Gaussian direction of the given norm, ``[width]``."""
    direction = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return direction * (norm / float(direction.norm()))
