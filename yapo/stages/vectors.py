"""The vectors chosen on validation, as conditions under which questions can be answered."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from yapo.config import Config
from yapo.errors import YapoError, unknown
from yapo.evaluation.generate import Condition
from yapo.models.language_model import LanguageModel
from yapo.stages.inputs import read_sae
from yapo.stages.study import Study
from yapo.steering.applied import Applied
from yapo.steering.interventions import Intervention
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.vector import SteeringVector, VectorInfo


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


class VectorReader:
    """Reads the chosen vectors of any country; those that are applied alike share an intervention, and so forward passes."""

    def __init__(self, config: Config, lm: LanguageModel, layer: int) -> None:
        self.study, self.lm, self.layer = Study.of(config), lm, layer
        self.applied = Applied(lm.d_model, lambda own: read_sae(config, own, lm.d_model).to(lm.device), lm.device)

    def read(self, language: str, country: str, method: str, task: str, setting: str) -> ChosenVector:
        """The chosen vector.

        Raises:
            YapoError: the country has no such vector, or it was made for another model, layer or autoencoder.
        """
        path = self.study.vector(language, country, method, task, setting)
        if not path.exists():
            raise YapoError(
                f"{path}: {country} has no vector by {method} yet; run the stage evaluate for country={country} first"
            )
        vector = SteeringVector.load(path)
        info = vector.info
        intervention, epoch = self.intervention(info, str(path), vector.map), info.extra.get("epoch")
        if len(vector.values) != intervention.width:
            raise YapoError(f"{path}: has {len(vector.values)} entries, not {intervention.width}; make it for this model")
        if not isinstance(epoch, int):
            raise YapoError(f"{path}: its header says extra.epoch={epoch!r}; run the stage evaluate again")
        return ChosenVector(vector.values, intervention, info.steer_bos, info.multiplier, epoch)

    def intervention(self, info: VectorInfo, name: str, made: ConditionalMap | None = None) -> Intervention:
        """How the vector with this header (and map) is applied; ``name`` is what an error calls it."""
        if info.model_digest != self.lm.digest or (made is None and info.layer != self.layer):
            raise YapoError(f"{name}: made for {info.model} ({info.model_digest}) layer {info.layer}; make it for this model")
        try:
            return self.applied.intervention(info, made)
        except YapoError as error:
            raise YapoError(f"{name}: {error}; make it again") from None


def check_vectors(config: Config, key: str = "", **wanted: str) -> None:
    """Refuse a method, task or setting for which the experiment makes no vectors; ``key`` is the setting that asks for it."""
    made = {"method": config.methods, "task": config.tasks, "setting": config.settings}
    for kind, name in wanted.items():
        if name not in made[kind]:
            raise unknown(f"{kind} (the experiment makes no such vectors)", key or f"{kind}s", name, made[kind])
