"""Countries of a study, and those whose layers are searched."""

from __future__ import annotations

from typing import Any

import pytest

from yapo.config import Config, DataConfig, DiscoveryConfig
from yapo.dag.scope import check_country, countries_of, discovery_countries
from yapo.data.sources import known_countries
from yapo.errors import YapoError


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return known_countries(DataConfig())


def test_countries_of_a_study_in_the_order_of_the_data(known: dict[str, str]) -> None:
    assert countries_of(Config(), known) == known
    chosen = countries_of(Config(countries=["nepal", "egypt"]), known)
    assert list(chosen.items()) == [("egypt", "arabic"), ("nepal", "hindi")]


@pytest.mark.parametrize("country", ["nepall", "Nepal", "atlantis", ""])
def test_unknown_countries(country: str, known: dict[str, str]) -> None:
    with pytest.raises(YapoError, match=f"^country={country}: unknown country; .*choose among egypt, ksa"):
        countries_of(Config(countries=["egypt", country]), known)
    with pytest.raises(YapoError, match="unknown country"):
        check_country(country, list(known))


def test_countries_that_discovery_measures(known: dict[str, str]) -> None:
    def found(**settings: Any) -> list[str]:
        return discovery_countries(Config(discovery=DiscoveryConfig(**settings)), known)

    assert found() == list(known)
    assert found(layer=2) == found(layer=2, countries=[]) == []
    assert found(layer=2, countries=["nepal"]) == found(countries=["nepal"]) == ["nepal"]
    with pytest.raises(YapoError, match=r"^discovery.countries=nepall: unknown country; did you mean nepal\?"):
        found(countries=["nepall"])
