"""Countries of a study, and the layers whose autoencoders it may need."""

from __future__ import annotations

from collections.abc import Sequence

from yapo.config import Config
from yapo.errors import YapoError, unknown
from yapo.names import place_parts
from yapo.studies.base import get_study
from yapo.studies.registry import STUDIES


def countries_of(config: Config, known: dict[str, str]) -> dict[str, str]:
    """Return the countries of this study and the folder of each one's language, in the data's order.

    Raises:
        YapoError: a configured country is not in the data.
    """
    for country in config.countries:
        check_country(country, known)
    return {c: folder for c, folder in known.items() if not config.countries or c in config.countries}


def studied(config: Config, known: dict[str, str], wanted: Sequence[str]) -> dict[str, str]:
    """Return the countries of a study around the tables: those of the experiment that it names, all where it names none.

    Raises:
        YapoError: a country is not in the data.
    """
    for country in wanted:
        check_country(country, known)
    return {c: folder for c, folder in countries_of(config, known).items() if not wanted or c in wanted}


def discovery_countries(config: Config, known: dict[str, str]) -> list[str]:
    """Return the countries that layer discovery measures.

    If none are set: all of the data, or none where the layer is fixed.

    Raises:
        YapoError: a country is not in the data.
    """
    wanted = config.discovery.countries
    if wanted is None:
        return [] if config.discovery.layer is not None else list(known)
    for country in wanted:
        check_country(country, known, "discovery.countries")
    return wanted


def layers_to_read(config: Config) -> list[int]:
    """Return the layers whose autoencoder may be needed: the configured one or all candidates, and those that methods name."""
    layers = config.discovery.candidates if config.discovery.layer is None else [config.discovery.layer]
    of_methods = [getattr(config, method, None) for method in config.methods]
    of_studies = [getattr(config.studies, name) for name in STUDIES if get_study(name).method in config.methods]
    own = [layer for part in (*of_methods, *of_studies) for layer in getattr(part, "layers", [])]
    return list(dict.fromkeys([*layers, *own]))


def check_country(country: str, known: Sequence[str] | dict[str, str], key: str = "country") -> None:
    """Refuse a country or region that the data do not have; ``key`` is the setting that names it."""
    if country in known:
        return
    whole, region = place_parts(country)
    regions = [place for place in known if place_parts(place)[0] == whole and place != whole]
    if region and regions:
        raise unknown("region", key, country, regions)
    if region and whole in known:
        raise YapoError(f"{key}={country}: the data tell no regions of {whole} apart; write {whole}, or give data that do")
    raise unknown("country", key, country, known)
