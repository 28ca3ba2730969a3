"""The steering-vector file: safetensors with a JSON header that says what the vector is for.

A sparse vector can carry the encoder columns and decoder rows of the features that it touches. All others cancel in YaPO's
eq. 3, so steering by it needs no other file. DSPA's artifact is a map; its file holds that map beside a vector of one number,
the strength.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.tensors import check_finite, load_tensors, save_tensors

SPACES = ("dense", "sparse", "map")
THRESHOLDS = ("relu", "jumprelu")
CONVENTION = (
    "steer with u = d * multiplier * vector at every position but BOS, added to the output of decoder block `layer` (0-based)"
)
MAP_CONVENTION = (
    "edit with u = multiplier * vector at the last prompt token and every generated one (at every token if the map's `edits` is"
    " `all`), the features that the map gives for the prompt, in the output of decoder block `layer` (0-based)"
)

# The types of the header's values; those not named are texts.
_KINDS: dict[str, type | UnionType] = {"layer": int, "multiplier": int | float, "steer_bos": bool, "extra": dict}
_SAID: dict[type | UnionType, str] = {
    int: "a whole number",
    int | float: "a number",
    bool: "true or false",
    dict: "a JSON object",
    str: "a text",
}


@dataclass(frozen=True)
class VectorInfo:
    """The header.

    Attributes:
        method: caa, sas, bipo, yapo, dspa, or random.
        space: "dense" (added to the residual stream), "sparse" (added to SAE codes, YaPO eq. 3) or "map" (the strength of an edit
            that depends on the prompt, ``yapo.steering.methods.dspa.edit``).
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
        for item in fields(self):
            value, kind = getattr(self, item.name), _KINDS.get(item.name, str)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise YapoError(f"{item.name}={value!r}: must be {_SAID[kind]}")
        if self.space not in SPACES:
            raise YapoError(f"space={self.space}: a vector is {', '.join(SPACES[:-1])} or {SPACES[-1]}")
        if self.threshold not in THRESHOLDS:
            raise YapoError(f"threshold={self.threshold}: choose one of {', '.join(THRESHOLDS)}")
        if self.layer < 0:
            raise YapoError(f"layer={self.layer}: layers count from 0")
        if not math.isfinite(self.multiplier):
            raise YapoError(f"multiplier={self.multiplier}: must be finite")

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
        values: float32; ``[d_model]`` dense, ``[d_sae]`` sparse, ``[n]`` sparse and carrying its n features, ``[1]`` of a map.
        info: the header.
        carried: the features, where the vector carries them.
        dense: a dense vector that stands in for a sparse one, ``[d_model]``, to be used at multiplier 1; see ``stand_in``.
        map: the map, where ``info.space`` is "map".
        file: where it was read from, from which ``yapo.steer`` finds the autoencoder that the header names.
    """

    values: Tensor
    info: VectorInfo
    carried: Carried | None = None
    dense: Tensor | None = None
    map: ConditionalMap | None = None
    file: Path | None = field(default=None, compare=False)

    @property
    def autoencoders(self) -> dict[int, str]:
        """The layers whose autoencoders steering by it needs, and where those were read from."""
        if self.map is not None:
            return {self.map.info.layer_in: self.map.info.sae_in, self.map.info.layer_out: self.map.info.sae_out}
        return {self.info.layer: self.info.sae} if self.info.space == "sparse" and self.carried is None else {}

    def stand_in(self) -> SteeringVector:
        """The dense vector that stands in for this one; what it costs stands in ``info.extra["stand_in"]``."""
        if self.dense is None:
            raise YapoError("this vector has no dense stand-in; take one that the target `portable` made")
        info = replace(self.info, space="dense", sae="", sae_digest="", threshold="relu", multiplier=1.0)
        return SteeringVector(self.dense, info)

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all; numbers that are not finite are refused."""
        tensors, header = {"vector": self.values}, asdict(self.info)
        if self.dense is not None:
            tensors["dense"] = self.dense
        if self.carried is not None:
            sae = self.carried.sae
            tensors |= {"features": self.carried.features, "W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec}
            tensors |= {"b_dec": sae.b_dec} | ({} if sae.threshold is None else {"threshold": sae.threshold})
            header["carried"] = {"activation": sae.activation, "apply_b_dec_to_input": sae.apply_b_dec_to_input}
        if self.map is not None:
            tensors, header["map"] = tensors | self.map.tensors(), self.map.header()
        save_tensors(Path(path), tensors, header)

    @classmethod
    def load(cls, path: Path | str) -> SteeringVector:
        """Read a file written by ``save``."""
        tensors, header = load_tensors(Path(path))
        check_finite(path, tensors)
        kind, made = header.pop("carried", None), _map(tensors, header, path)
        info = VectorInfo.of(header, path)
        values = _part(path, tensors, "vector", (None if made is None else 1,))
        carried = None if kind is None else _carried(tensors, kind, info, len(values), str(path))
        dense = None if "dense" not in tensors else _part(path, tensors, "dense", (None,))
        return cls(values, info, carried, dense, made, Path(path))


@dataclass(frozen=True)
class TrainedVector:
    """What training leaves: a vector after each epoch, before selection.

    Attributes:
        epochs: ``[epochs, width]``.
        info: the header of each.
        map: the map of a vector that has one; the same for all epochs.
    """

    epochs: Tensor
    info: VectorInfo
    map: ConditionalMap | None = None

    def chosen(self, epoch: int, multiplier: float) -> SteeringVector:
        """The vector of an epoch (counted from 1) at the λ that was chosen for it."""
        info = replace(self.info, multiplier=multiplier, extra={**self.info.extra, "epoch": epoch})
        return SteeringVector(self.epochs[epoch - 1].clone(), info, map=self.map)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; numbers that are not finite are refused."""
        held, header = ({}, {}) if self.map is None else (self.map.tensors(), {"map": self.map.header()})
        save_tensors(path, {"epochs": self.epochs} | held, asdict(self.info) | header)

    @classmethod
    def load(cls, path: Path) -> TrainedVector:
        """Read a file written by ``save``."""
        tensors, header = load_tensors(path)
        return cls.read(tensors, header, path)

    @classmethod
    def read(cls, tensors: dict[str, Tensor], header: dict[str, Any], path: Path) -> TrainedVector:
        """Read what a file holds.

        Raises:
            YapoError: a part is missing, has another shape, or has a number that is not finite.
        """
        check_finite(path, tensors)
        made = _map(tensors, header, path)
        epochs = _part(path, tensors, "epochs", (None, None if made is None else 1))
        return cls(epochs, VectorInfo.of(header, path), made)


def _part(path: Path | str, tensors: dict[str, Tensor], name: str, shape: tuple[int | None, ...]) -> Tensor:
    """Return a tensor of the file once it has the expected shape; None stands for any size above 0."""
    tensor = tensors.get(name)
    if tensor is None:
        found = ", ".join(sorted(tensors)) or "none"
        raise YapoError(f"{path}: not a steering vector; expected a tensor '{name}', found {found}; make it again")
    right = tensor.ndim == len(shape) and all(n == m if m else n > 0 for n, m in zip(tensor.shape, shape, strict=True))
    if not right or not tensor.is_floating_point():
        wanted = ", ".join("n" if size is None else str(size) for size in shape)
        kind = str(tensor.dtype).removeprefix("torch.")
        raise YapoError(f"{path}: '{name}' is {kind} {list(tensor.shape)}, expected floats of shape [{wanted}]; make it again")
    return tensor


def _map(tensors: dict[str, Tensor], header: dict[str, Any], path: Path | str) -> ConditionalMap | None:
    """The map that a header speaks of, which is taken out of it."""
    described = header.pop("map", None)
    if (described is None) == (header.get("space") == "map"):
        held = "no map" if described is None else f"a map, but space={header.get('space')}"
        raise YapoError(f"{path}: its header has {held}; make it again")
    if described is None:
        return None
    if not isinstance(described, dict):
        raise YapoError(f"{path}: the map of its header is {described!r}, not a JSON object; make it again")
    try:
        return ConditionalMap.read(tensors, described)
    except YapoError as error:
        raise YapoError(f"{path}: {error}; make it again") from None


def _carried(tensors: dict[str, Tensor], kind: Any, info: VectorInfo, n: int, source: str) -> Carried:
    """The features that a sparse vector of ``n`` entries brings along."""
    missing = {"features", "W_enc", "b_enc", "W_dec", "b_dec"} - tensors.keys()
    if missing:
        raise YapoError(f"{source}: lacks {', '.join(sorted(missing))} of the autoencoder it says it carries; make it again")
    known = isinstance(kind, dict) and kind.get("activation") in ("relu", "jumprelu")
    if not known or not isinstance(kind.get("apply_b_dec_to_input"), bool) or info.space != "sparse":
        raise YapoError(f"{source}: space={info.space}, carried={kind!r}: only a sparse vector carries features; make it again")
    d_model = tensors["b_dec"].numel()
    shapes = {"W_enc": (d_model, n), "b_enc": (n,), "W_dec": (n, d_model), "b_dec": (d_model,)}
    shapes |= {"threshold": (n,)} if kind["activation"] == "jumprelu" else {}
    parts = {name: _part(source, tensors, name, shape) for name, shape in shapes.items()}
    features = tensors["features"]
    if features.dtype != torch.int64 or features.shape != (n,) or bool((features.diff() <= 0).any()) or int(features[0]) < 0:
        raise YapoError(f"{source}: its features are not {n} ascending numbers from 0; make it again")
    sae = SAE(
        **parts if "threshold" in parts else {**parts, "threshold": None},
        activation=kind["activation"],
        k=None,
        apply_b_dec_to_input=kind["apply_b_dec_to_input"],
        source=source,
        layer=info.layer,
        hook_name=None,
        model_name=info.model,
    )
    return Carried(features, sae)


def random_like(norm: float, width: int, seed: int) -> Tensor:
    """The control: a Gaussian direction of the given norm, ``[width]``."""
    direction = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return direction * (norm / float(direction.norm()))
