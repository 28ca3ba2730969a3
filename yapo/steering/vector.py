"""The steering-vector file: safetensors with a JSON header that says what the vector is for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yapo.errors import YapoError
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
class SteeringVector:
    """A vector ``[d_model]`` or ``[d_sae]``, float32, and its header."""

    values: Tensor
    info: VectorInfo

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all."""
        save_tensors(Path(path), {"vector": self.values}, asdict(self.info))

    @classmethod
    def load(cls, path: Path | str) -> SteeringVector:
        """Read a file written by ``save``."""
        tensors, header = load_tensors(Path(path))
        if "vector" not in tensors:
            raise YapoError(f"{path}: not a steering vector; expected a tensor 'vector', found {', '.join(sorted(tensors))}")
        return cls(tensors["vector"], VectorInfo.of(header, path))


def random_like(norm: float, width: int, seed: int) -> Tensor:
    """The control: a Gaussian direction of the given norm, ``[width]``."""
    direction = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return direction * (norm / float(direction.norm()))
