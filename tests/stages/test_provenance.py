"""The settings that a study was made with, read from its files, and the commands that make it again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_config

from yapo.config.compose import compose, plain
from yapo.errors import YapoError
from yapo.stages.commands import as_overrides, commands, own_settings
from yapo.stages.provenance import TrainingRun, autoencoder_name, learning_rates, schedule

OVERRIDES = ["experiment=smoke", "train.epochs=3"]


def made(method: str, *more: str, trained: bool = True) -> TrainingRun:
    config = json.loads(json.dumps(plain(compose([*OVERRIDES, f"method={method}", *more]))))
    return TrainingRun(
        method, trained, 2, {group: config[group] for group in ("method", "train", "model", "sae")}, {"torch": "2"}
    )


def read_by_snakemake(command: str) -> dict[str, Any]:
    """A command's ``--config`` as the shell and Snakemake read it."""
    words = shlex.split(command)
    start, end = words.index("--config") + 1, words.index("--")
    return dict(parse_config(words[start:end]))


def test_learning_rates_of_the_methods_that_train() -> None:
    ours = [made("caa", trained=False), made("bipo", "train.lr=0.02"), made("yapo", "train.lr=0.005")]
    assert learning_rates(ours) == "BiPO 0.02, YaPO 0.005; no training steps: CAA"
    assert learning_rates(ours[:1]) == "no training steps: CAA"
    assert schedule(ours) == "3 epochs of batches of 4, β = 0.1"
    apart = [*ours[:2], made("yapo", "train.beta=0.5")]
    assert schedule(apart) == "BiPO: 3 epochs of batches of 4, β = 0.1; YaPO: 3 epochs of batches of 4, β = 0.5"
    assert schedule(ours[:1]) == "no method trains"


def test_the_autoencoder_by_folder_or_release() -> None:
    assert autoencoder_name(made("yapo", "sae.path=some/layer_LAYER")) == "some/layer_2"
    released = made("yapo", "sae.path=''", "sae.release=a-release", "sae.id=layer_LAYER/width")
    assert autoencoder_name(released) == "a-release layer_2/width"
    released.config["sae"]["ids"] = {"2": "other"}
    assert autoencoder_name(released) == "a-release other"


def test_settings_of_one_method_alone_are_found() -> None:
    own = ["train.beta=0.2", "method.options.threshold=jumprelu"]
    found = own_settings([made("bipo"), made("yapo", *own)], OVERRIDES)
    assert found == {"yapo": {"method.options.threshold": "jumprelu", "train.beta": 0.2}}
    assert sorted(shlex.split(as_overrides(found["yapo"]))) == sorted(own)
    assert own_settings([made("bipo"), made("yapo")], OVERRIDES) == {}


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=smoke", "train.epochs=3", "selection.multipliers=[0.5,1.0]", "results=/some/where"],
        ["experiment=smoke", "countries=[nepal,egypt]"],
        ["experiment=embedded", "prompts.open_ended='Q: {question} # say \"it\"'", "report.note='a  b'"],
        ["experiment=embedded", 'report.note="don\'t: $HOME"'],
    ],
)
def test_commands_give_snakemake_what_was_typed(overrides: list[str]) -> None:
    lines = commands(compose(overrides), overrides, {}).split("\n")
    assert [line.rpartition(" ")[2] for line in lines] == ["all_tables", "all_studies"]
    config = read_by_snakemake(lines[0])
    again = [f"experiment={config.get('experiment', 'embedded')}", *shlex.split(config.get("overrides", ""))]
    again += [f"countries=[{','.join(config['countries'])}]"] if "countries" in config else []
    assert again == overrides
    assert compose(again) == compose(overrides)


def test_commands_of_the_default_study_and_of_methods_with_settings_of_their_own() -> None:
    assert commands(compose([]), ["experiment=embedded"], {}).startswith("snakemake --cores all all_tables\n")
    own = {"yapo": {"train.beta": 0.2, "method.options.init": "zero"}, "caa": {"method.options.contrast": "a, {b}: c"}}
    config = read_by_snakemake(commands(compose(OVERRIDES), OVERRIDES, own).split("\n")[1])
    assert config["overrides"] == "train.epochs=3"
    assert shlex.split(config["method_overrides"]["yapo"]) == ["train.beta=0.2", "method.options.init=zero"]
    (contrast,) = shlex.split(config["method_overrides"]["caa"])
    assert compose(["method=caa", contrast]).method.options["contrast"] == "a, {b}: c"


def test_a_folder_that_no_method_was_trained_in(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(YapoError, match="not the training of a method; delete it and run the stage train again"):
        TrainingRun.of(tmp_path)
