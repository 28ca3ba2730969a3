"""The countries that a method's training reads beside its own."""

from __future__ import annotations

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.dag.source import facts_of, file_of
from yapo.errors import YapoError
from yapo.steering.methods import module_of


def compares_countries(method: str) -> bool:
    """Tell whether a method learns from the pairs of several countries, from its source: importing a method can take seconds."""
    return facts_of(file_of(module_of(method))).compares_countries


def compared_countries(config: Config, method: str, country: str, known: dict[str, str]) -> dict[str, str]:
    """Return the other countries whose pairs a training reads, and the folder of each one's language; none for most methods.

    Args:
        config: the study.
        method: the method.
        country: whose vectors it trains.
        known: every country of the data, and the folder of its language.

    Raises:
        YapoError: the method compares countries, and the study has no other.
    """
    if not compares_countries(method):
        return {}
    others = {name: folder for name, folder in countries_of(config, known).items() if name != country}
    if not others:
        raise YapoError(
            f"methods={method}: tells a country from the study's others, and {country} is its only one; "
            "name more in countries, or leave the method out"
        )
    return others
