"""Text settings are the text as written, in files and on command lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from yapo.config.compose import compose
from yapo.config.conf_files import as_text, kinds, quoted, read_conf, stamp_of
from yapo.errors import YapoError


def read(tmp_path: Path, text: str, group: str = "experiment") -> dict[str, Any]:
    """The settings of a file ``mine.yaml`` of a group."""
    path = tmp_path / group / "mine.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return read_conf(path, stamp_of(path))[1]


def test_which_settings_are_text() -> None:
    assert {"country", "model.revision", "data.path", "judge.model", "sae.ids.*"} <= kinds().texts
    assert {"countries", "discovery.countries", "studies.transfer.countries", "tasks"} <= kinds().text_lists
    assert {"discovery.candidates", "selection.multipliers"} <= kinds().lists - kinds().text_lists
    assert not kinds().texts & {"train.lr", "discovery.layer", "train.epochs"}


@pytest.mark.parametrize(
    ("written", "value"),
    [("no", "no"), ("on", "on"), ("3.10", "3.10"), ("12e4567", "12e4567"), ("1e10", "1e10"), ("0x1f", "0x1f"), ("007", "007"),
     ("2026-01-02", "2026-01-02"), ("12:30", "12:30"), ("true", "true"), (".inf", ".inf"), ("'null'", "null"),
     ("1_000", "1_000")],
)  # fmt: skip
def test_a_file_keeps_what_is_written(tmp_path: Path, written: str, value: str) -> None:
    text = f"# @package _global_\ncountries: [{written}, nepal]\nmodel:\n  revision: {written}\nsae:\n  ids: {{7: {written}}}\n"
    settings = read(tmp_path, text)
    assert settings["countries"] == [value, "nepal"]
    assert settings["model"]["revision"] == value
    assert settings["sae"]["ids"] == {7: value}


def test_a_group_file_is_read_by_its_place(tmp_path: Path) -> None:
    assert read(tmp_path, "revision: 1e10\nbatch_size: 16\n", "model") == {"revision": "1e10", "batch_size": 16}


def test_numbers_and_truth_values_stay(tmp_path: Path) -> None:
    settings = read(tmp_path, "# @package _global_\ntrain: {lr: 5e-4, epochs: 3, steer_bos: true}\nreport: {note: no}\n")
    assert settings["train"] == {"lr": 5e-4, "epochs": 3, "steer_bos": True}
    assert settings["report"]["note"] == "no"


def test_an_experiment_that_names_no_folder_gets_its_own(tmp_path: Path) -> None:
    assert read(tmp_path, "# @package _global_\ntrain: {epochs: 1}\n")["experiment"] == "mine"
    assert read(tmp_path, "\ufeff# @package _global_\r\nexperiment: mine\r\n")["experiment"] == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiment: mine\n", "begin it with the line `# @package _global_`"),
        ("# @package _global_\nexperiment: other\n", "would write into another experiment's results; write mine"),
    ],
)
def test_an_experiment_that_reaches_elsewhere(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(YapoError, match=re.escape(message)):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: 1\na: 2\n", "- 1\n- 2\n", "just words", "a: {b: 1\n",
     "a: !!python/object/apply:os.system ['true']\n", "\tx: 1\n",
     "a: *nowhere\n", "caf\udce9: 1\n", "a: \x01\n"],
)  # fmt: skip
def test_a_file_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    with pytest.raises(YapoError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "experiment" / "mine.yaml"))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["3.10", "12e4567", "a b", "it's", 'say "x"', "back\\slash", "ends in \\", "a,b", "f(x)", "[x]", "a=b", "# x", "é ¥", "\\'"],
)
def test_a_text_is_as_typed(text: str) -> None:
    assert as_text(f"report.note={text}") == f"report.note={quoted(text)}"


def test_hydra_gives_a_typed_text_back() -> None:
    texts = {
        "report.note": "it's \\ f(x), [a] # 1e5",
        "model.revision": "12e4567",
        "data.revision": "1e10",
        "results": "a b/(c)'d",
    }
    config = compose([f"{key}={text}" for key, text in texts.items()] + ["discovery.countries=[no, 1e5,true]"])
    assert (config.report.note, config.model.revision) == (texts["report.note"], "12e4567")
    assert (config.data.revision, config.results) == ("1e10", texts["results"])
    assert config.discovery.countries == ["no", "1e5", "true"]


@pytest.mark.parametrize(
    "override",
    ["train.lr=1e-3", "discovery.layer=null", "model=tiny", "experiment=smoke", "model.path='x'", "data.path=${results}/x"],
)
def test_other_overrides_stay(override: str) -> None:
    assert as_text(override) == override


def test_lists_of_countries_are_for_the_data_of_their_experiment() -> None:
    other = compose(["experiment=smoke", "data=table", "data.path=my items.csv"])
    assert (other.countries, other.discovery.countries, other.studies.lambda_sweep.countries) == ([], None, [])
    assert other.data.path == "my items.csv"
    typed = compose(["data=table", "data.path=x.csv", "discovery.countries=[france]", "studies.transfer.countries=[peru]"])
    assert (typed.discovery.countries, typed.studies.transfer.countries) == (["france"], ["peru"])
    assert compose(["experiment=smoke", "data=atlas"]).countries == ["egypt", "nepal"]
