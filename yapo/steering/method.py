"""What a steering method is: a name, a space, and ``fit``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
from torch import Tensor

from yapo.config import TrainConfig
from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.steering.activations import ActivationStore
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel
    from yapo.steering.methods.dspa.map import ConditionalMap


@dataclass(frozen=True)
class Elsewhere:
    """What a method needs that works at layers of its own, not at the study's.

    Attributes:
        language_model: loads the model with all its blocks.
        autoencoder: that of a layer.
        min_explained_variance: of the model's states; an autoencoder that explains less is to be refused.
        keep: receives, with the name of its set, the map that goes into a vector's file.
    """

    language_model: Callable[[], LanguageModel]
    autoencoder: Callable[[int], SAE]
    min_explained_variance: float
    keep: Callable[[str, ConditionalMap], None]


@dataclass(frozen=True)
class FitInputs:
    """Everything a method may learn from, for one country and task.

    Attributes:
        store: preference pairs with their frozen quantities at the layer.
        rows: describes pair i in row i: question_id, variant, phrasing, split.
        sets: one per setting; which pairs train and validate its vector.
        layer: 0-based block whose output is steered.
        sae: the autoencoder of that layer.
        language_model: loads the model; called only by methods that train.
        train: schedule of methods that train.
        options: the method's own settings.
        log: receives one row per training step and epoch.
        checkpoint: where a long training may keep its progress.
        elsewhere: for methods with layers of their own; None where they cannot be fitted.
    """

    store: ActivationStore
    rows: pd.DataFrame
    sets: list[TrainSet]
    layer: int
    sae: SAE
    language_model: Callable[[], LanguageModel]
    train: TrainConfig
    options: dict[str, Any]
    log: Callable[[LogRow], None]
    checkpoint: Path
    elsewhere: Elsewhere | None = None

    def __post_init__(self) -> None:
        needed, found = (self.layer, self.sae.digest), (self.store.key.layer, self.store.key.sae)
        if needed != found:
            raise YapoError(f"activations of layer, autoencoder {found}, but {needed} are asked for; prepare them again")


class Method(Protocol):
    """A steering method.

    Attributes:
        space: "dense", "sparse" or "map" (``yapo.steering.vector``).
        learns: whether it trains in steps, as ``FitInputs.train`` says, and logs them.
    """

    name: str
    space: str
    learns: bool

    def fit(self, inputs: FitInputs) -> dict[str, Tensor]:
        """Vectors after each epoch, ``[epochs, width]``, for each set's name. Closed-form methods have one epoch."""
        ...
