"""A low-rank adapter in peft's files, and the model whose weights it changes: W' = W + λ·(α/r)·B·A in every adapted projection.

λ takes the place that it has for vectors; 1 is the adapter as trained. The change is merged into the weights, so that decoding
costs what it costs without one.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from yapo.errors import YapoError
from yapo.files import digest, file_digest, read_json, replacing, write_json
from yapo.tensors import check_tensors

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
_AGAIN = "delete the folder and run the stage train_adapter again"


@dataclass(frozen=True)
class Adapter:
    """An adapter as peft saves it.

    Attributes:
        folder: holds its two files.
        settings: of ``adapter_config.json``.
        factors: A ``[rank, in]`` and B ``[out, rank]`` by the module that they change.
    """

    folder: Path
    settings: Mapping[str, Any]
    factors: Mapping[str, tuple[Tensor, Tensor]]

    @classmethod
    def load(cls, folder: Path) -> Adapter:
        """Read the files of an adapter.

        Raises:
            YapoError: one is missing, damaged, or no LoRA adapter.
        """
        path, settings = folder / WEIGHTS, read_json(folder / CONFIG, _AGAIN)
        try:
            tensors = load_file(path)
            scaled = settings["peft_type"] == "LORA" and settings["lora_alpha"] / settings["r"]
            names = [name.removeprefix(_PREFIX).removesuffix(_A) for name in tensors if name.endswith(_A)]
            factors = {name: (tensors[f"{_PREFIX}{name}{_A}"], tensors[f"{_PREFIX}{name}{_B}"]) for name in names}
        except (OSError, SafetensorError, LookupError, TypeError, ArithmeticError) as error:
            raise YapoError(f"{folder}: not a LoRA adapter ({error}); {_AGAIN}") from None
        if not scaled or not factors or 2 * len(factors) != len(tensors):
            raise YapoError(f"{path}: holds other tensors than factors A and B of projections; {_AGAIN}")
        check_tensors(path, tensors)
        return cls(folder, settings, factors)

    @property
    def scale(self) -> float:
        """Return α/r, the factor of B·A at λ = 1."""
        return float(self.settings["lora_alpha"] / self.settings["r"])

    def save(self, folder: Path, multiplier: float) -> None:
        """Write the adapter so that peft applies it at λ = ``multiplier``: λ becomes part of ``lora_alpha``."""
        with replacing(folder / WEIGHTS) as temporary:
            shutil.copyfile(self.folder / WEIGHTS, temporary)
        write_json(folder / CONFIG, {**self.settings, "lora_alpha": multiplier * self.settings["lora_alpha"]})

    @contextmanager
    def applied(self, lm: LanguageModel, multiplier: float) -> Iterator[LanguageModel]:
        """Give the model with changed weights for the length of a block; ``lm`` shares them, and has its own again after it.

        Raises:
            YapoError: the adapter is for a model of other projections.
        """
        weights = {name: self._weight(lm, name) for name in self.factors}
        kept = {name: weight.clone() for name, weight in weights.items()}
        adapted = copy.copy(lm)
        adapted.digest = digest([lm.digest, file_digest(self.folder / WEIGHTS), self.scale, multiplier])
        try:
            with torch.no_grad():
                for name, (a, b) in self.factors.items():
                    change = multiplier * self.scale * (b.float() @ a.float())
                    weights[name].copy_(weights[name].float() + change.to(weights[name].device))
            yield adapted
        finally:
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.copy_(kept[name])

    def _weight(self, lm: LanguageModel, name: str) -> Tensor:
        a, b = self.factors[name]
        try:
            module = lm.model.get_submodule(name)
        except AttributeError:
            module = None
        if not isinstance(module, nn.Linear) or module.weight.shape != (b.shape[0], a.shape[1]):
            raise YapoError(f"{self.folder}: changes {name}, which {lm.source} does not have in that size; {_AGAIN}")
        return module.weight
