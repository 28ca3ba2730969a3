"""The settings that a study was made with, read from its files, and the commands that make it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_config

from yapo.config.compose import compose, plain
from yapo.files import write_json
from yapo.stages.commands import as_overrides, commands, own_settings
from yapo.stages.provenance import TrainingRun, run_record
from yapo.stages.study_facts import autoencoder_name, learning_rates, schedule

from ..refusals import refused

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


Edit = Callable[[dict[str, Any]], object]


def edited(*keys: str, value: Any) -> Edit:
    """Give the entry below these keys another value."""

    def edit(record: dict[str, Any]) -> None:
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return edit


BAD: dict[str, tuple[Edit, str]] = {
    "nothing": (dict.clear, "'method'"),
    "no layer": (lambda record: record.pop("layer"), "'layer'"),
    "no group": (lambda record: record["config"].pop("sae"), "config=['method', 'train', 'model']: must hold"),
    "a group more": (edited("config", "judge", value={}), "must hold method, train, model, sae"),
    "no rate": (lambda record: record["config"]["train"].pop("lr"), "'lr'"),
    "a setting more": (edited("config", "train", "lrr", value=1), "lrr"),
    "another method": (edited("method", value="caa"), "method=caa: the folder is that of yapo"),
    "a method that is a list": (edited("method", value=["yapo"]), "method=['yapo']: must be a text"),
    "a layer in words": (edited("layer", value="2"), "layer='2': must be a whole number"),
    "settings that are a text": (edited("config", value="train"), "config='train': must be a JSON object"),
    "a group that is a list": (edited("config", "model", value=[]), "not the training of a method"),
    "a rate in words": (edited("config", "train", "lr", value="fast"), "config.train.lr='fast': must be a number"),
    "a rate beyond floats": (edited("config", "train", "lr", value=10**400), "must be finite"),
    "a rate that nothing learns by": (edited("config", "train", "lr", value=0), "train.lr=0: a positive learning rate"),
    "an unknown type": (edited("config", "model", "dtype", value="int3"), "config.model.dtype=int3: choose one of float32"),
    "ids that are a list": (edited("config", "sae", "ids", value=["a"]), "config.sae.ids=['a']: must be a JSON object"),
    "a size in words": (edited("config", "sae", "train", "width", value="x"), "config.sae.train.width='x': must be a whole"),
    "a version that is a number": (edited("versions", "torch", value=2.9), "versions.torch=2.9: must be a text"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_record_that_was_edited_by_hand(tmp_path: Path, case: str) -> None:
    edit, said = BAD[case]
    record, folder = run_record(compose([*OVERRIDES, "method=yapo"]), "arabic", 2, "0"), tmp_path / "yapo"
    write_json(folder / "run.json", record)
    (folder / "curves.jsonl").write_text('{"kind": "step"}\n')
    assert TrainingRun.of(folder) == TrainingRun("yapo", True, 2, record["config"], record["versions"])
    edit(record)
    write_json(folder / "run.json", record)
    refused(lambda: TrainingRun.of(folder), str(folder), said, "delete the folder and run the stage train again")


@pytest.mark.parametrize("first", ["", "[]", "{", '{"kind": ', "[" * 100_000, b"\xff"])
def test_a_curve_whose_first_row_is_none(tmp_path: Path, first: str | bytes) -> None:
    write_json(tmp_path / "yapo" / "run.json", run_record(compose([*OVERRIDES, "method=yapo"]), "arabic", 2, "0"))
    (tmp_path / "yapo" / "curves.jsonl").write_bytes(first if isinstance(first, bytes) else first.encode())
    refused(lambda: TrainingRun.of(tmp_path / "yapo"), "yapo: not the training of a method")
