"""The steering-vector file: safetensors with a JSON header that says what the vector is for.

What the vector's space keeps beside it, such as a slice of an autoencoder, stands in the same file (``yapo.steering.spaces``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yapo.checks import check_types, is_finite
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.files import digest
from yapo.models.sae import SAE
from yapo.steering.interventions import Intervention, Threshold
from yapo.steering.spaces import DENSE, Payload, SAESlice, Space, TargetModel, VectorFile, find_space
from yapo.tensors import check_tensors, load_tensors, save_tensors

MOST_LAYERS = 10_000
CONVENTION = (
    "steer with u = d * multiplier * vector at every position but BOS, added to the output of decoder block `layer` (0-based)"
)


@dataclass(frozen=True)
class VectorInfo:
    """The header.

    Attributes:
        method: the method's name, or random.
        space: "dense" (added to the residual stream), "sparse" (added to SAE codes, YaPO eq. 3), or the method's own, such as
            "map" (the strength of an edit that depends on the prompt).
        layer: 0-based decoder block whose output is steered.
        model: name or path of the model, and ``model_digest`` of its weights.
        sae: name or path of the SAE, and ``sae_digest``; empty for dense vectors.
        multiplier: the λ chosen on validation; 1 where nothing was chosen.
        threshold: what follows the addition in sparse space.
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
    threshold: Threshold = "relu"
    steer_bos: bool = False
    convention: str = CONVENTION
    data_hash: str = ""
    config_hash: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_types("", VectorInfo, vars(self))
        find_space(self.space, self.method)
        if not 0 <= self.layer < MOST_LAYERS:
            raise YapoError(f"layer={shown(self.layer)}: layers count from 0; no model has {MOST_LAYERS}")
        if not is_finite(self.multiplier):
            raise YapoError(f"multiplier={shown(self.multiplier)}: must be finite")

    @classmethod
    def of(cls, header: dict[str, Any], path: Path | str) -> VectorInfo:
        """Read the header of ``path``; keys of its payload are left out."""
        try:
            return cls(**{key: value for key, value in header.items() if key in _KEYS})
        except (TypeError, YapoError) as error:
            raise YapoError(f"{path}: not a steering vector of this project ({error}); make it again") from None


_KEYS = {item.name for item in fields(VectorInfo)}


def _as_path(path: object) -> Path:
    if not isinstance(path, str | PathLike) or not str(path):
        raise YapoError(f"path={shown(path)}: not the path of a file; give that of a steering vector")
    return Path(path)


class Vector(ABC):
    """Common part of chosen and trained vectors."""

    info: VectorInfo
    payload: Payload | None

    @property
    @abstractmethod
    def entries(self) -> int:
        """Number of entries."""

    @property
    def space(self) -> Space:
        """The space of its entries."""
        return find_space(self.info.space, self.info.method)

    @property
    def autoencoders(self) -> dict[int, str]:
        """The layers whose autoencoders steering by it needs, and where those were read from."""
        return self.space.autoencoders(self)

    def intervention(self, d_model: int, autoencoder: Callable[[int], SAE], device: torch.device | None = None) -> Intervention:
        """Return how it is applied to a model; see ``TargetModel`` and ``Space.intervention``."""
        return self.space.intervention(self, TargetModel(d_model, autoencoder, device))

    def _save(self, path: Path | str, tensors: dict[str, Tensor]) -> None:
        held, header = ({}, {}) if self.payload is None else (self.payload.tensors(), self.payload.header())
        save_tensors(_as_path(path), tensors | held, vars(self.info) | header)

    @staticmethod
    def _read(
        tensors: dict[str, Tensor], header: dict[str, Any], path: Path | str, name: str, ndim: int
    ) -> tuple[Tensor, VectorInfo, Payload | None]:
        check_tensors(path, tensors)
        info = VectorInfo.of(header, path)
        file = VectorFile(path, info, {key: value for key, value in header.items() if key not in _KEYS}, tensors)
        space, some = find_space(info.space, info.method), (None,) * (ndim - 1)
        payload = space.read_payload(file, file.tensor(name, (*some, None)).shape[-1])
        known = {
            name,
            *(() if payload is None else payload.tensors()),
            *(("dense",) if name == "vector" and space.of_features else ()),
        }
        if unknown := sorted(tensors.keys() - known):
            raise file.refusal(f"it holds {', '.join(unknown)}, which its header does not tell of")
        return file.tensor(name, (*some, space.width)), info, payload


@dataclass(frozen=True)
class SteeringVector(Vector):
    """A vector and its header.

    Attributes:
        values: float32; ``[d_model]`` dense, ``[d_sae]`` sparse, ``[n]`` sparse beside a slice of n features.
        info: the header.
        payload: what its space keeps beside it.
        dense: a dense vector that stands in for a sparse one, ``[d_model]``, to be used at multiplier 1; see ``stand_in``.
        file: where it was read from, from which ``yapo.steer`` finds the autoencoder that the header names.
    """

    values: Tensor
    info: VectorInfo
    payload: Payload | None = None
    dense: Tensor | None = None
    file: Path | None = field(default=None, compare=False)

    @property
    def entries(self) -> int:
        """See ``Vector.entries``."""
        return len(self.values)

    def stand_in(self) -> SteeringVector:
        """Return the dense vector that stands in for this one; what it costs stands in ``info.extra["stand_in"]``."""
        if self.dense is None:
            raise YapoError("this vector has no dense stand-in; take one that the target `portable` made")
        info = replace(self.info, space=DENSE.name, sae="", sae_digest="", threshold="relu", multiplier=1.0)
        return SteeringVector(self.dense, info)

    def __mul__(self, factor: float) -> SteeringVector:
        """Return the vector times a number; its multiplier stays."""
        if isinstance(factor, bool) or not isinstance(factor, Real):
            return NotImplemented
        if not is_finite(factor):
            raise YapoError(f"factor={shown(factor)}: a vector times that has no numbers; give a finite one")
        info = replace(self.info, extra={**self.info.extra, "factor": float(factor) * self.info.extra.get("factor", 1.0)})
        return replace(self, values=float(factor) * self.values, info=info, dense=None)

    __rmul__ = __mul__

    def __neg__(self) -> SteeringVector:
        return self * -1.0

    def __add__(self, other: SteeringVector) -> SteeringVector:
        """Return λv + μw, to be used at multiplier 1; what both were made of stands in ``info.extra["sum"]``.

        Raises:
            YapoError: they are of different models, layers, spaces or autoencoders.
        """
        if not isinstance(other, SteeringVector):
            return NotImplemented
        _check_summands(self, other)
        terms = [{name: getattr(one.info, name) for name in _TERM} for one in (self, other)]
        info = replace(
            self.info,
            method=" + ".join(dict.fromkeys((self.info.method, other.info.method))),
            multiplier=1.0,
            data_hash=digest([self.info.data_hash, other.info.data_hash]),
            config_hash=digest([self.info.config_hash, other.info.config_hash]),
            extra={"sum": terms},
        )
        values = self.info.multiplier * self.values + other.info.multiplier * other.values
        return replace(self, values=values, info=info, dense=None)

    def __sub__(self, other: SteeringVector) -> SteeringVector:
        return self + -other if isinstance(other, SteeringVector) else NotImplemented

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all; numbers that are not finite are refused."""
        self._save(path, {"vector": self.values} | ({} if self.dense is None else {"dense": self.dense}))

    @classmethod
    def load(cls, path: Path | str) -> SteeringVector:
        """Read a file written by ``save``.

        Raises:
            YapoError: it is missing, damaged or foreign.
        """
        place = _as_path(path)
        tensors, header = load_tensors(place)
        values, info, payload = cls._read(tensors, header, path, "vector", 1)
        width = payload.sae.d_model if isinstance(payload, SAESlice) else None
        dense = None if "dense" not in tensors else VectorFile(path, info, {}, tensors).tensor("dense", (width,))
        return cls(values, info, payload, dense, place)


_TERM = ("method", "multiplier", "data_hash", "config_hash", "extra")  # what a sum keeps of the header of each term


def _check_summands(v: SteeringVector, w: SteeringVector) -> None:
    """Refuse a sum of vectors whose entries do not mean the same."""
    if v.space.reads_prompt:
        raise YapoError(f"space={v.info.space}: vectors whose edit depends on the prompt have no sum; steer with both, in a list")
    for name in ("model_digest", "layer", "space", "sae_digest", "threshold", "steer_bos"):
        ours, theirs = getattr(v.info, name), getattr(w.info, name)
        if ours != theirs:
            raise YapoError(
                f"{name}: {shown(ours)} and {shown(theirs)}; only vectors of one can be added; steer with both, in a list"
            )
    if (None if v.payload is None else v.payload.digest) != (None if w.payload is None else w.payload.digest):
        raise YapoError("the vectors carry different features of the autoencoder; add the whole vectors they were cut from")


@dataclass(frozen=True)
class TrainedVector(Vector):
    """The result of a method on one set of pairs: a vector after each epoch, before selection.

    Attributes:
        epochs: ``[epochs, width]``; a closed form has one epoch.
        info: the header of each.
        payload: what its space keeps beside it, the same for all epochs.
    """

    epochs: Tensor
    info: VectorInfo
    payload: Payload | None = None

    @property
    def entries(self) -> int:
        """See ``Vector.entries``."""
        return self.epochs.shape[-1]

    def chosen(self, epoch: int, multiplier: float) -> SteeringVector:
        """Return the vector of an epoch (counted from 1) at the λ that was chosen for it."""
        info = replace(self.info, multiplier=multiplier, extra={**self.info.extra, "epoch": epoch})
        return SteeringVector(self.epochs[epoch - 1].clone(), info, self.payload)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; numbers that are not finite are refused."""
        self._save(path, {"epochs": self.epochs})

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
        return cls(*cls._read(tensors, header, path, "epochs", 2))


class InterventionCache:
    """Interventions of vectors made for one model. Vectors that are applied alike share one, and so forward passes.

    Args:
        d_model: width of the model's residual stream.
        autoencoder: returns that of a layer; asked once a layer, and only where a vector needs one.
        device: where edits happen; that of the autoencoders if None.
    """

    def __init__(self, d_model: int, autoencoder: Callable[[int], SAE], device: torch.device | None = None) -> None:
        self.d_model, self.autoencoder, self.device = d_model, cache(autoencoder), device
        self._known: dict[tuple[str, ...], Intervention] = {}

    def intervention(self, vector: SteeringVector | TrainedVector) -> Intervention:
        """Return how a vector is applied.

        Raises:
            YapoError: an autoencoder is not the one that the vector was made with, or was made for another model or layer.
        """
        info, payload = vector.info, vector.payload
        kind = (info.space, info.threshold, str(info.layer), info.sae_digest, "" if payload is None else payload.digest)
        if kind not in self._known:
            self._known[kind] = vector.intervention(self.d_model, self.autoencoder, self.device)
        return self._known[kind]
