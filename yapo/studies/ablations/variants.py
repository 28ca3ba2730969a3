"""The variants of the ablations: the experiment's setting with one change each, checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from yapo.config import Config, SaeTrainConfig, TrainConfig
from yapo.config.compose import changed
from yapo.config.conf_files import CONF, group_options
from yapo.errors import YapoError, unknown
from yapo.steering.methods import get_method

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)

DEFAULT = "default"


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        train, options: as in the configuration, changed.
        sae: how the variant's own autoencoder is trained; None where it uses the experiment's.
    """

    name: str
    train: TrainConfig
    options: dict[str, Any]
    sae: SaeTrainConfig | None


def variants_of(config: Config) -> list[Variant]:
    """Return the experiment's setting, named "default", and the variants that apply to ``config.method``.

    A variant applies where the method has all its options; one of ``sae.train`` where its vectors are of features.

    Raises:
        YapoError: an option that no method has, or an impossible value.
    """
    known = known_options()
    base_options = config.method.options
    made = [Variant(DEFAULT, config.train, base_options, None)]
    for name, changes in config.studies.ablations.changes.items():
        key = f"studies.ablations.variants.{name}"
        train, sae, options = (_part(changes, prefix) for prefix in ("train.", "sae.train.", "method.options."))
        for option in options:
            if option not in known:
                raise unknown("method option", key, f"method.options.{option}", [f"method.options.{name}" for name in known])
        if set(options) <= set(base_options) and (not sae or get_method(config.method.name).space.of_features):
            autoencoder = _changed(config.sae.train, sae, key) if sae else None
            made.append(Variant(name, _changed(config.train, train, key), {**base_options, **options}, autoencoder))
    return made


def autoencoders_of(config: Config) -> dict[str, SaeTrainConfig]:
    """Return the training settings of the autoencoder of each variant that has its own."""
    made = {}
    for name in config.studies.ablations.own_autoencoders:
        changes = _part(config.studies.ablations.changes[name], "sae.train.")
        made[name] = _changed(config.sae.train, changes, f"studies.ablations.variants.{name}")
    return made


def known_options() -> list[str]:
    """Return every option that some method has."""
    from omegaconf import OmegaConf

    files = [OmegaConf.load(CONF / "method" / f"{method}.yaml") for method in group_options("method")]
    return sorted({str(name) for file in files for name in cast(dict[str, Any], file).get("options", {})})


def _part(changes: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in changes.items() if key.startswith(prefix)}


def _changed(settings: T, changes: dict[str, Any], key: str) -> T:
    """Change typed settings, in which errors name ``key``."""
    try:
        return changed(settings, changes)
    except YapoError as error:
        raise YapoError(f"{key}: {error}") from None
