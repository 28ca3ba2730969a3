"""Methods are found by their names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from yapo.config.conf_files import group_options
from yapo.errors import YapoError
from yapo.steering import methods
from yapo.steering.methods import get_method, method_names


def test_every_configured_method_is_a_module() -> None:
    spaces = {"caa": "dense", "bipo": "dense", "sas": "sparse", "yapo": "sparse", "dspa": "map", "imported": "dense"}
    assert {name: get_method(name).space.name for name in spaces} == spaces
    assert group_options("method") == method_names()


def test_a_method_is_imported_when_it_is_asked_for() -> None:
    """The package itself imports none, so that a method's code counts only where it is used."""
    tree = ast.parse(Path(methods.__file__).read_text(encoding="utf-8"))
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in named if name and name.startswith(methods.__name__)}


@pytest.mark.parametrize("name", ["yappo", "", "CAA"])
def test_unknown_names_are_refused(name: str) -> None:
    known = "bipo, caa, corrsteer, cue, dpo, dspa, imported, lat, pca, probe, reps, sas, sas_output, sft, yapo"
    with pytest.raises(YapoError, match=f"^method={name}: unknown method; .*choose among {known}"):
        get_method(name)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(YapoError, match=r"did you mean yapo\?"):
        get_method("yappo")
