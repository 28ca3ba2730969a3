"""Composing a study from ``conf/`` and overrides."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from omegaconf import OmegaConf

from yapo.config import Config
from yapo.config.compose import compose, plain
from yapo.config.conf_files import CONF, group_options, groups
from yapo.data.sources import known_countries
from yapo.errors import YapoError

CHOICES = [(group, name) for group in groups() for name in group_options(group)]


def test_defaults_are_the_embedded_study() -> None:
    config = compose([])
    assert (config.experiment, config.folder) == ("embedded", Path("results/embedded"))
    others = ["corrsteer", "cue", "dpo", "imported", "lat", "pca", "probe", "reps", "sas_output", "sft"]
    assert sorted([*config.methods, *others]) == group_options("method")
    assert config.model.path == "world/model"
    assert isinstance(config, Config)


@pytest.mark.parametrize("experiment", ["embedded", pytest.param("gemma2_2b_published", marks=pytest.mark.slow)])
def test_the_choice_of_a_method_gives_what_hydra_alone_gives(experiment: str) -> None:
    for name in [*group_options("method"), "yapo"]:
        short = plain(compose([f"experiment={experiment}", f"method={name}"]))
        whole = plain(compose([f"experiment={experiment}", f"method={name}", f"method.name={name}"]))  # not among the short cuts
        assert short == whole
    assert plain(compose([f"experiment={experiment}"]))["method"]["name"] == "yapo"


@pytest.mark.parametrize(
    "overrides",
    [
        ["results=a b", "countries=[egypt,nepal]", "train.lr=3e-4"],
        ["experiment=smoke", "model=gemma2_2b", "method=sas", "method.options.tau=0.5", "country=nepal"],
        ["learning_rate={bipo: 1e-3}", "studies.ablations.seeds=[3]"],
        [
            "model.path='a=b, c'",
            "data.path='quoted \"name\"'",
            "sae=train",
            "sae.train.k=8",
            "discovery.layer=null",
            "tasks=[mcq]",
        ],
        ["train.epochs=2", "train.epochs=3", "selection.multipliers=[1, 2.5]", "data=table", "data.path=x.csv"],
    ],
)
def test_values_set_after_hydra_are_those_that_hydra_sets(overrides: list[str]) -> None:
    name = next((part.partition("=")[2] for part in overrides if part.startswith("method=")), "yapo")
    assert plain(compose(overrides)) == plain(compose([*overrides, f"method.name={name}"]))


@pytest.mark.parametrize(
    "override", ["train.lr=1,2", "train.lr=fast", "train.lr=[", "seed=range(1,3)", "train.lr=1e-3,", "tasks=[mcq"]
)
def test_mistakes_are_told_as_hydra_tells_them(override: str) -> None:
    with pytest.raises(YapoError) as short:
        compose([override])
    with pytest.raises(YapoError) as whole:
        compose([override, "method.name=yapo"])
    assert str(short.value) == str(whole.value)


def written(*place: str) -> dict[str, Any]:
    """A file of ``conf/`` as it stands."""
    return dict(yaml.safe_load(CONF.joinpath(*place).with_suffix(".yaml").read_text(encoding="utf-8")))


def resolved(values: dict[str, Any]) -> dict[str, Any]:
    """The values, with those of the environment where they refer to them."""
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(values), resolve=True))


def filled_in(values: dict[str, Any], config: Config) -> dict[str, Any]:
    """The values, with those of the experiment's `dspa` where they refer to them."""
    own = {f"${{dspa.{key}}}": value for key, value in asdict(config.dspa).items()}
    return {key: own.get(str(value), value) for key, value in values.items()}


def test_default_files_agree_with_the_typed_defaults() -> None:
    """One truth: what a default file of ``conf/`` says is the default in ``yapo/config/``."""
    chosen = [entry for entry in written("config")["defaults"] if isinstance(entry, dict)]
    defaults = {group: name for entry in chosen for group, name in entry.items()}
    assert set(defaults) == set(groups())
    typed = asdict(Config())
    for group in set(groups()) - {"experiment"}:
        values = written(group, defaults[group])
        if group == "method":  # options are each method's own: a typed default would be every method's
            del values["options"]
        assert {key: typed[group][key] for key in values} == values


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=lambda part: str(part))
def test_every_file_in_conf_composes(group: str, name: str) -> None:
    config = compose([f"{group}={name}"])
    if group == "experiment":
        assert config.experiment == name
        return
    given, experiment = written(group, name), written("experiment", "embedded").get(group, {})
    if group in given:  # a file for the whole configuration
        assert config.tasks == given["tasks"]
        given = given[group]
    held = asdict(config)[group]
    values = {key: value for key, value in given.items() if key not in experiment}
    if group == "model":
        values = resolved(values)
    if group == "method" and "options" in values:
        values["options"] = filled_in(values["options"], config)
    assert {key: held[key] for key in values} == values


@pytest.mark.parametrize("experiment", group_options("experiment"))
@pytest.mark.parametrize("method", group_options("method"))
def test_every_experiment_with_every_method(experiment: str, method: str) -> None:
    config = compose([f"experiment={experiment}", f"method={method}"])
    assert (config.experiment, config.method.name) == (experiment, method)
    rates = config.learning_rate
    assert config.train.lr == rates.get(method, config.train.lr)
    asked = written("method", method).get("options", {})
    tuned = config.method_options.get(method, {})
    assert plain(config)["method"] == {"name": method, "options": filled_in(asked, config) | tuned}


@pytest.mark.parametrize("experiment", group_options("experiment"))
def test_countries_of_every_experiment_are_in_its_data(experiment: str) -> None:
    config = compose([f"experiment={experiment}"])
    if config.data.source == "table":
        pytest.skip(f"the items of {experiment} are a file of the user's")
    assert {*config.countries, *(config.discovery.countries or []), config.country} <= set(known_countries(config.data))


def test_replies_of_judges_are_kept_beside_the_studies() -> None:
    assert compose(["results=elsewhere"]).judge.cache == "elsewhere/judgements"
    assert compose(["results=elsewhere", "judge=openai"]).judge.cache == "elsewhere/judgements"
    assert compose(["results=elsewhere", "judge.cache=shared"]).judge.cache == "shared"


def test_what_is_typed_wins() -> None:
    config = compose(["train.epochs=7", "countries=[egypt,nepal]", "method=sas", "method.options.tau=0.25", "discovery.layer=2"])
    assert (config.train.epochs, config.countries, config.discovery.layer) == (7, ["egypt", "nepal"], 2)
    assert config.method.options["tau"] == 0.25
    assert compose(["experiment=smoke", "train.epochs=3"]).train.epochs == 3
    assert compose(["method=yapo", "learning_rate.yapo=0.125"]).train.lr == 0.125
    assert compose(["method=yapo", "train.lr=0.25"]).train.lr == 0.25


def test_a_chosen_method_does_not_become_the_default() -> None:
    overrides = (["threads=3", "method=caa"], ["threads=3"], ["threads=3", "method=sas"], ["threads=3"])
    assert [compose(each).method.name for each in overrides] == ["caa", "yapo", "sas", "yapo"]
