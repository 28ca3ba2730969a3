"""Impossible settings are refused by their dotted name, whoever makes them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from yapo.config import Config
from yapo.config.compose import compose
from yapo.errors import YapoError

from ..refusals import refused

INFINITE = [float("inf"), float("-inf"), float("nan")]


def floats(config: Any, prefix: str = "") -> list[tuple[Any, str, str]]:
    """Every setting that is a number with a point, or a list of them: its group, name and dotted name."""
    found = []
    for part in fields(config):
        value, name = getattr(config, part.name), f"{prefix}{part.name}"
        if is_dataclass(value):
            found += floats(value, f"{name}.")
        elif isinstance(value, float) or (isinstance(value, list) and value and isinstance(value[0], float)):
            found.append((config, part.name, name))
    return found


def test_no_number_may_be_infinite() -> None:
    names = []
    for value in INFINITE:
        config = Config()
        for group, key, name in floats(config):
            before = getattr(group, key)
            setattr(group, key, [*before, value] if isinstance(before, list) else value)
            with pytest.raises(YapoError, match=rf"^{name}={value}: give a finite number$"):
                config.__post_init__()
            setattr(group, key, before)
            names.append(name)
    assert {"train.lr", "selection.multipliers", "discovery.multipliers", "judge.timeout_s", "studies.convergence.losses"} <= {
        *names
    }


@pytest.mark.parametrize("value", INFINITE)
def test_nor_one_inside_free_settings(value: float) -> None:
    config = Config()
    config.method.options = {"tau": value}
    with pytest.raises(YapoError, match=r"^method.options.tau="):
        config.__post_init__()
    config = Config()
    config.learning_rate = {"yapo": value}
    with pytest.raises(YapoError, match=r"^learning_rate.yapo="):
        config.__post_init__()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("results", "a{b}"),
        ("results", "a\nb"),
        ("results", "a\0b"),
        ("results", ""),
        ("experiment", "$(touch x)"),
        ("experiment", "../x"),
        ("experiment", "a/b"),
        ("experiment", "{x}"),
        ("experiment", "x" * 300),
        ("data.path", "my {items}.csv"),
        ("model.path", "a\nb"),
        ("sae.path", "sae/{LAYER}"),
        ("studies.behaviours.folder", "{x}"),
        ("studies.dspa_study.conversations", "a\x1b[0m.jsonl"),
    ],
)
def test_folders_that_no_study_can_have(key: str, value: str) -> None:
    config = Config()
    group: Any = config
    *groups, name = key.split(".")
    for part in groups:
        group = getattr(group, part)
    setattr(group, name, value)
    with pytest.raises(YapoError) as caught:
        (group if groups[:1] == ["studies"] else config).__post_init__()
    assert str(caught.value).startswith(key)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("results", ["a b/c", "it's", "$(x)", "a;b", "é/[x]*", "/absolute (1)/x"])
def test_folders_that_are_odd_and_work(results: str) -> None:
    assert Config(results=results).folder.parts[-1] == "embedded"


def test_options_that_an_experiment_tuned() -> None:
    """They reach their method alone, and what is typed wins."""
    tuned = "+method_options={sas: {tau: 0.25}}"
    assert compose(["method=sas", tuned]).method.options["tau"] == 0.25
    assert compose(["method=sas", tuned, "method.options.tau=0.5"]).method.options["tau"] == 0.5
    assert compose(["method=caa", tuned]).method == compose(["method=caa"]).method


@pytest.mark.parametrize(
    ("tuned", "message"),
    [
        ("{sas: {tua: 0.25}}", "method_options.sas=tua: unknown option; did you mean tau?"),
        ("{sass: {tau: 0.25}}", "method_options=sass: unknown method; did you mean sas?"),
    ],
)
def test_tuned_options_of_no_method(tuned: str, message: str) -> None:
    refused(lambda: compose(["method=sas", f"+method_options={tuned}"]), message)
