"""A study's vectors on its model: those after each epoch as candidates, and those chosen on validation as conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from yapo.checks import Setting, Task
from yapo.config import Config
from yapo.errors import YapoError, unknown
from yapo.evaluation.country import Candidate
from yapo.evaluation.decoding import Condition
from yapo.evaluation.selection import Key
from yapo.models.language_model import LanguageModel
from yapo.paths import Paths
from yapo.stages.inputs import read_sae
from yapo.steering.interventions import Intervention
from yapo.steering.vector import InterventionCache, SteeringVector, TrainedVector


@dataclass(frozen=True)
class ChosenVector:
    """One vector as validation chose it.

    Attributes:
        values: the vector at its chosen epoch, ``[width]``.
        intervention: how it is applied.
        multiplier: the chosen λ, and ``epoch`` the chosen epoch.
    """

    values: Tensor
    intervention: Intervention
    steer_bos: bool
    multiplier: float
    epoch: int

    def at(self, multiplier: float) -> Condition:
        """Steering by it at some λ; the unsteered model at 0."""
        return Condition(self.intervention, multiplier * self.values, self.steer_bos) if multiplier else Condition()

    @property
    def chosen(self) -> Condition:
        """Steering by it as chosen."""
        return self.at(self.multiplier)


class ModelInterventions:
    """Interventions of the study's vectors on one model; vectors that are applied alike share one, and so forward passes."""

    def __init__(self, config: Config, lm: LanguageModel, layer: int) -> None:
        self.lm, self.layer = lm, layer
        self.cache = InterventionCache(lm.d_model, lambda own: read_sae(config, own, lm.d_model).to(lm.device), lm.device)

    def of(self, vector: SteeringVector | TrainedVector, name: str, again: str) -> Intervention:
        """Return how a vector is applied.

        Args:
            vector: any.
            name: what an error calls it, and ``again`` how to make it again.

        Raises:
            YapoError: it was made for another model, layer or autoencoder.
        """
        info, space = vector.info, vector.space
        if info.model_digest != self.lm.digest or (not space.reads_prompt and info.layer != self.layer):
            raise YapoError(f"{name}: made for {info.model} ({info.model_digest}) layer {info.layer}; {again} for this model")
        self.lm.check_layer(info.layer)
        try:
            intervention = self.cache.intervention(vector)
        except YapoError as error:
            raise YapoError(f"{name}: {error}; {again} again") from None
        entries = vector.values.shape[-1] if isinstance(vector, SteeringVector) else vector.epochs.shape[-1]
        if entries != intervention.width:
            raise YapoError(f"{name}: has {entries} entries, not {intervention.width}; {again} for this model")
        return intervention


class VectorReader:
    """Reads the chosen vectors of any country."""

    def __init__(self, config: Config, lm: LanguageModel, layer: int) -> None:
        self.paths, self.interventions = Paths.of(config), ModelInterventions(config, lm, layer)

    def read(self, language_folder: str, country: str, method: str, task: Task, setting: Setting) -> ChosenVector:
        """Read the chosen vector.

        Raises:
            YapoError: the country has no such vector, or it was made for another model, layer or autoencoder.
        """
        path = self.paths.vector(language_folder, country, method, task, setting)
        if not path.exists():
            raise YapoError(
                f"{path}: {country} has no vector by {method} yet; run the stage evaluate for country={country} first"
            )
        vector = SteeringVector.load(path)
        info, epoch = vector.info, vector.info.extra.get("epoch")
        intervention = self.interventions.of(vector, str(path), "make it")
        if not isinstance(epoch, int):
            raise YapoError(f"{path}: its header says extra.epoch={epoch!r}; run the stage evaluate again")
        return ChosenVector(vector.values, intervention, info.steer_bos, info.multiplier, epoch)


def trained_vectors(config: Config, paths: Paths, language_folder: str) -> dict[Key, TrainedVector]:
    """Read every trained vector of the country."""
    return {
        (method, task, setting): TrainedVector.load(
            paths.trained(language_folder, config.country, method) / f"{task}-{setting}.safetensors"
        )
        for method in config.methods
        for task in config.tasks
        for setting in config.settings
    }


def candidates_of(config: Config, trained: dict[Key, TrainedVector], lm: LanguageModel, layer: int) -> dict[Key, Candidate]:
    """Return how each trained vector is applied; refuse vectors made for something else."""
    interventions = ModelInterventions(config, lm, layer)
    return {
        key: Candidate(
            vector.epochs,
            interventions.of(vector, "the vector {} {}-{}".format(*key), "train it"),
            vector.info.steer_bos,
        )
        for key, vector in trained.items()
    }


def check_vectors(config: Config, key: str = "", **wanted: str) -> None:
    """Refuse a method, task or setting for which the experiment makes no vectors; ``key`` is the setting that asks for it."""
    made: dict[str, Sequence[str]] = {"method": config.methods, "task": config.tasks, "setting": config.settings}
    for kind, name in wanted.items():
        if name not in made[kind]:
            raise unknown(f"{kind} (the experiment makes no such vectors)", key or f"{kind}s", name, made[kind])
