"""A steering method: a space, typed options, and ``fit``, which returns everything that it learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pandas as pd
from torch import Tensor

from yapo.checks import check_types
from yapo.config import TrainConfig
from yapo.errors import YapoError, nearest
from yapo.models.sae import SAE
from yapo.steering.activations import ActivationStore
from yapo.steering.spaces import Payload, Space
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.vector import TrainedVector, VectorInfo

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from yapo.models.language_model import LanguageModel

    Options = TypeVar("Options", bound=DataclassInstance)


@dataclass(frozen=True)
class Models:
    """The model and its autoencoders, loaded when they are asked for.

    Attributes:
        language_model: returns the model with its blocks from a 0-based one on.
        autoencoder: returns that of a layer.
        min_explained_variance: of the model's states; an autoencoder that explains less is to be refused.
    """

    language_model: Callable[[int], LanguageModel]
    autoencoder: Callable[[int], SAE]
    min_explained_variance: float


@dataclass(frozen=True)
class ComparedPairs:
    """The pairs of another country, for a method that compares countries.

    Attributes:
        store: preference pairs with their frozen quantities at the layer.
        rows: describes pair i in row i, as in ``FitInputs``.
    """

    store: ActivationStore
    rows: pd.DataFrame


@dataclass(frozen=True)
class FitInputs:
    """Everything a method may learn from, for one country and task.

    Attributes:
        store: preference pairs with their frozen quantities at the layer.
        rows: describes pair i in row i: question_id, variant, phrasing, split.
        sets: one per setting; which pairs train and validate its vector.
        layer: 0-based block whose output is steered.
        sae: the autoencoder of that layer.
        models: loads the model, and autoencoders of other layers; a closed form at the layer asks for neither.
        train: schedule of methods that train.
        options: the method's own settings, to be read by ``read_options``.
        info: header of the vectors, but for what a method decides.
        log: receives one row per training step and epoch.
        checkpoint: where a long training may keep its progress.
        others: pairs of the study's other countries, by name; given to methods that compare countries alone.
    """

    store: ActivationStore
    rows: pd.DataFrame
    sets: list[TrainSet]
    layer: int
    sae: SAE
    models: Models
    train: TrainConfig
    options: Mapping[str, Any]
    info: VectorInfo
    log: Callable[[LogRow], None]
    checkpoint: Path
    others: Mapping[str, ComparedPairs] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store.check(layer=self.layer, sae=self.sae.digest)
        for other in self.others.values():
            other.store.check(model=self.store.key.model, dtype=self.store.key.dtype, layer=self.layer, sae=self.sae.digest)

    def language_model(self) -> LanguageModel:
        """Return the model with its blocks above the steered layer."""
        return self.models.language_model(self.layer + 1)

    def vector(self, part: TrainSet, epochs: Tensor, payload: Payload | None = None, **decided: Any) -> TrainedVector:
        """Return what was learned from one set.

        Args:
            part: the set.
            epochs: the vector after each epoch, ``[epochs, width]``.
            payload: what the method's space keeps beside the vector.
            decided: values of the header that the method decides.
        """
        info = replace(self.info, extra={**self.info.extra, "setting": part.name}, **decided)
        return TrainedVector(epochs.cpu(), info, payload)


class Method(Protocol):
    """A steering method.

    The module of one that compares countries says so in a literal, ``COMPARES_COUNTRIES = True``, which is read without importing
    it: the pairs of the study's other countries are then inputs of its training, and stand in ``FitInputs.others``.

    Attributes:
        space: of its vectors.
        learns: whether it trains in steps, as ``FitInputs.train`` says, and logs them.
    """

    learns: bool

    @property
    def space(self) -> Space:
        """Space of the method's vectors."""

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return the vectors by the names of their sets. Closed-form methods have one epoch."""
        ...


def read_options(kind: type[Options], options: Mapping[str, Any]) -> Options:
    """Check a method's options against the dataclass that declares them.

    Raises:
        YapoError: one is missing, unknown, or of another type; or the dataclass refuses its value.
    """
    names, key = [item.name for item in fields(kind)], "method.options."
    for name, value in options.items():
        if name not in names:
            raise YapoError(
                f"{key}{name}={value}: unknown option; {nearest(name, names)}the method's are {', '.join(names) or 'none'}"
            )
    for name in names:
        if name not in options:
            raise YapoError(f"{key}{name}: missing; give it, as the method's file in conf/method does")
    check_types(key, kind, options)
    return kind(**options)
