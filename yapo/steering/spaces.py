"""The spaces of steering vectors: meaning of the entries, contents of the file, edit of the residual stream.

A method whose edit is neither dense nor sparse brings a space of its own (``yapo.steering.methods.dspa`` has an example).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import SAE, check_fits
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.methods import get_method, method_names

if TYPE_CHECKING:
    from yapo.steering.vector import Vector, VectorInfo


class Payload(Protocol):
    """The part of a vector's file beside the vector."""

    @property
    def digest(self) -> str:
        """Identifies its contents."""

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors, as the file names them."""

    def header(self) -> dict[str, Any]:
        """Return the keys that it adds to the file's header."""


@dataclass(frozen=True)
class VectorFile:
    """Contents of a vector's file.

    Attributes:
        path: the file.
        info: its header.
        extra: keys of the header beside those of ``VectorInfo``.
        tensors: by name.
    """

    path: Path | str
    info: VectorInfo
    extra: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def refusal(self, fault: str) -> YapoError:
        """Return the error that names the file and a fault."""
        return YapoError(f"{self.path}: {fault}; make it again")

    def tensor(self, name: str, shape: tuple[int | None, ...]) -> Tensor:
        """Return a tensor once it has the expected shape; None stands for any size above 0.

        Raises:
            YapoError: it is missing, or has another shape or type.
        """
        tensor = self.tensors.get(name)
        if tensor is None:
            found = ", ".join(sorted(self.tensors)) or "none"
            raise self.refusal(f"not a steering vector; expected a tensor '{name}', found {found}")
        right = tensor.ndim == len(shape) and all(n == m if m else n > 0 for n, m in zip(tensor.shape, shape, strict=True))
        if not right or not tensor.is_floating_point():
            wanted = ", ".join("n" if size is None else str(size) for size in shape)
            kind = str(tensor.dtype).removeprefix("torch.")
            raise self.refusal(f"'{name}' is {kind} {list(tensor.shape)}, expected floats of shape [{wanted}]")
        return tensor


@dataclass(frozen=True)
class TargetModel:
    """The model that a vector is applied to.

    Attributes:
        d_model: width of the residual stream.
        autoencoder: returns that of a layer.
        device: where edits happen; that of the autoencoder if None.
    """

    d_model: int
    autoencoder: Callable[[int], SAE]
    device: torch.device | None = None


class Space(ABC):
    """The meaning of a vector's entries.

    Attributes:
        name: what the header calls it.
        width: number of entries, where it is fixed.
        of_features: the entries are features of the autoencoder of the steered layer.
        reads_prompt: the edit depends on the prompt, so that no one direction describes it.
    """

    name: str
    width: int | None = None
    of_features = False
    reads_prompt = False

    def header(self, sae: SAE) -> dict[str, Any]:  # noqa: ARG002
        """Return what the header says of ``sae``, the autoencoder of the steered layer."""
        return {}

    def read_payload(self, file: VectorFile, entries: int) -> Payload | None:  # noqa: ARG002
        """Read what a file holds beside a vector of so many entries.

        Raises:
            YapoError: a part is missing, foreign or damaged.
        """
        if file.extra:
            raise file.refusal(f"its header has {', '.join(file.extra)}, but space={self.name} has none")
        return None

    def autoencoders(self, vector: Vector) -> dict[int, str]:  # noqa: ARG002
        """Return the layers whose autoencoders an edit needs, and where those were read from."""
        return {}

    def check_model(self, vector: Vector, d_model: int) -> None:  # noqa: B027
        """Refuse a model of another width, as far as the vector alone can tell."""

    @abstractmethod
    def intervention(self, vector: Vector, model: TargetModel) -> Intervention:
        """Return the edit of vectors with this header and payload.

        Raises:
            YapoError: the autoencoder is not the one that the vector was made with.
        """


class DenseSpace(Space):
    """The residual stream (CAA, BiPO): ``[d_model]``."""

    name = "dense"

    def check_model(self, vector: Vector, d_model: int) -> None:
        """See ``Space.check_model``."""
        if vector.entries != d_model:
            raise YapoError(
                f"the vector has {vector.entries} entries for {vector.info.model}; this model is {d_model} wide; "
                "load the model it was made for"
            )

    def intervention(self, vector: Vector, model: TargetModel) -> Dense:  # noqa: ARG002
        """See ``Space.intervention``."""
        return Dense(model.d_model)


@dataclass(frozen=True)
class SAESlice:
    """The part of an autoencoder that a sparse vector touches; a vector with it needs no other file.

    Attributes:
        features: their numbers in the whole autoencoder, ascending, ``[n]``.
        sae: those features alone.
    """

    features: Tensor
    sae: SAE

    @cached_property
    def digest(self) -> str:
        """See ``Payload``."""
        return self.sae.digest

    def tensors(self) -> dict[str, Tensor]:
        """See ``Payload``."""
        sae = self.sae
        held = {"features": self.features, "W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec}
        return held if sae.threshold is None else held | {"threshold": sae.threshold}

    def header(self) -> dict[str, Any]:
        """See ``Payload``."""
        return {"carried": {"activation": self.sae.activation, "apply_b_dec_to_input": self.sae.apply_b_dec_to_input}}

    @classmethod
    def read(cls, file: VectorFile, n: int) -> SAESlice:
        """Read the slice of a vector of ``n`` entries; see ``Space.read_payload``."""
        tensors, kind = file.tensors, file.extra["carried"]
        missing = {"features", "W_enc", "b_enc", "W_dec", "b_dec"} - tensors.keys()
        if missing:
            raise file.refusal(f"lacks {', '.join(sorted(missing))} of the autoencoder it says it carries")
        known = isinstance(kind, dict) and kind.get("activation") in ("relu", "jumprelu")
        if not known or not isinstance(kind.get("apply_b_dec_to_input"), bool):
            raise file.refusal(f"carried={kind!r}: must give activation (relu or jumprelu) and apply_b_dec_to_input")
        d_model = tensors["b_dec"].numel()
        shapes = {"W_enc": (d_model, n), "b_enc": (n,), "W_dec": (n, d_model), "b_dec": (d_model,)}
        shapes |= {"threshold": (n,)} if kind["activation"] == "jumprelu" else {}
        parts = {name: file.tensor(name, shape) for name, shape in shapes.items()}
        features = tensors["features"]
        ascending = features.dtype == torch.int64 and features.shape == (n,) and not bool((features.diff() <= 0).any())
        if not ascending or int(features[0]) < 0:
            raise file.refusal(f"its features are not {n} ascending numbers from 0")
        threshold = parts.pop("threshold", None)
        sae = SAE(
            **parts,
            threshold=threshold,
            activation=kind["activation"],
            k=None,
            apply_b_dec_to_input=kind["apply_b_dec_to_input"],
            source=str(file.path),
            layer=file.info.layer,
            hook_name=None,
            model_name=file.info.model,
        )
        return cls(features, sae)


class SparseSpace(Space):
    """The codes of an autoencoder (SAS, YaPO; YaPO eq. 3): ``[d_sae]``, or ``[n]`` beside a slice of n features."""

    name = "sparse"
    of_features = True

    def header(self, sae: SAE) -> dict[str, Any]:
        """See ``Space.header``."""
        return {"sae": sae.source, "sae_digest": sae.digest}

    def read_payload(self, file: VectorFile, entries: int) -> Payload | None:
        """See ``Space.read_payload``."""
        return SAESlice.read(file, entries) if set(file.extra) == {"carried"} else super().read_payload(file, entries)

    def autoencoders(self, vector: Vector) -> dict[int, str]:
        """See ``Space.autoencoders``."""
        return {vector.info.layer: vector.info.sae} if vector.payload is None else {}

    def intervention(self, vector: Vector, model: TargetModel) -> Sparse:
        """See ``Space.intervention``."""
        info, payload = vector.info, vector.payload
        sae = payload.sae if isinstance(payload, SAESlice) else model.autoencoder(info.layer)
        check_fits(sae, model.d_model, info.layer)
        if payload is None and sae.digest != info.sae_digest:
            raise YapoError(
                f"the vector was trained with the autoencoder {info.sae} ({info.sae_digest}), not {sae.source} ({sae.digest})"
            )
        return Sparse(sae, info.threshold, device=model.device)


DENSE, SPARSE = DenseSpace(), SparseSpace()


def find_space(name: str, method: str) -> Space:
    """Return a space by its name: dense, sparse, or that of the method whose vector it is.

    Raises:
        YapoError: there is none.
    """
    known: list[Space] = [DENSE, SPARSE]
    if method in method_names() and name not in (space.name for space in known):
        known.append(get_method(method).space)
    found = {space.name: space for space in known}
    if name not in found:
        raise YapoError(f"space={name}: a vector by {method} is {' or '.join(dict.fromkeys(found))}")
    return found[name]
