"""The countries that a method's training reads beside its own."""

from __future__ import annotations

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.dag.source import PACKAGE, facts_of
from yapo.errors import YapoError


def compares_countries(method: str) -> bool:
    """Tell whether a method learns from the pairs of several countries, from its source: importing a method can take seconds."""
    folder = PACKAGE / "steering" / "methods"
    file = folder / method / "method.py" if (folder / method).is_dir() else folder / f"{method}.py"
    return facts_of(file).compares_countries


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
