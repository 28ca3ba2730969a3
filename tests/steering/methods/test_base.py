"""The one place where methods are known by name."""

from __future__ import annotations

import pytest

from yapo.errors import YapoError
from yapo.stages.app import options
from yapo.steering.methods import get_method
from yapo.steering.methods.base import register
from yapo.steering.methods.caa import CAA


def test_every_configured_method_is_registered_under_its_own_name() -> None:
    spaces = {"caa": "dense", "bipo": "dense", "sas": "sparse", "yapo": "sparse", "dspa": "map"}
    assert {name: get_method(name).space for name in spaces} == spaces
    assert set(options("method")) >= set(spaces)
    assert all(get_method(name).name == name for name in options("method"))


def test_a_name_can_be_taken_once() -> None:
    taken = get_method("caa")
    with pytest.raises(ValueError, match="method 'caa' is registered twice"):
        register(CAA())
    assert get_method("caa") is taken


@pytest.mark.parametrize("name", ["yappo", "", "CAA"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(YapoError, match=f"^method={name}: unknown method; .*choose among bipo, caa, dspa, sas, yapo"):
        get_method(name)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(YapoError, match=r"did you mean yapo\?"):
        get_method("yappo")
