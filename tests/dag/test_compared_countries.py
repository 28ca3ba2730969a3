"""Countries whose pairs a training reads beside its own."""

from __future__ import annotations

import pytest

from yapo.config import Config, DataConfig
from yapo.dag.compared_countries import compared_countries, compares_countries
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.steering.methods import method_names

KNOWN = known_countries(DataConfig())


def test_one_method_compares_countries() -> None:
    assert [method for method in method_names() if compares_countries(method)] == ["cue"]


def test_the_others_of_the_study() -> None:
    study = Config(countries=["nepal", "egypt", "usa"])
    assert compared_countries(study, "cue", "egypt", KNOWN) == {"nepal": "hindi", "usa": "english"}
    assert len(compared_countries(Config(), "cue", "egypt", KNOWN)) == 14
    assert compared_countries(study, "caa", "egypt", KNOWN) == compared_countries(study, "dspa", "egypt", KNOWN) == {}


def test_a_study_of_one_country_is_refused() -> None:
    with pytest.raises(
        YapoError, match=r"^methods=cue: tells a country from the study's others, and egypt is its only one; name more"
    ):
        compared_countries(Config(countries=["egypt"]), "cue", "egypt", KNOWN)
    assert compared_countries(Config(countries=["egypt"]), "caa", "egypt", KNOWN) == {}
