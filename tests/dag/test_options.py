"""Read what a person types after ``snakemake``, and answer in one line what is not understood."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_config

from yapo.config.compose import compose
from yapo.config.conf_files import as_text, quoted
from yapo.dag.command_line import check_command_line, check_targets, slurm_number
from yapo.dag.options import TARGETS, read_options
from yapo.errors import YapoError

RULES = ["all_tables", "all_studies", "country_egypt", "country_nepal", "train", "transfer", "dspa_study"]


def options_of(words: list[str]) -> Any:
    """Return what the words after ``--config`` give, by Snakemake's own reader."""
    return read_options(parse_config(words), words)


def test_nothing_typed_is_the_embedded_study() -> None:
    options = options_of([])
    assert (options.overrides, options.method_overrides, options.study) == (["experiment=embedded"], {}, "all_tables")


def test_all_that_can_be_typed() -> None:
    options = options_of(
        [
            "experiment=smoke",
            "countries=[no,nepal]",
            "overrides=train.epochs=3 report.note='a b'",
            "method_overrides={yapo: train.lr=1e-3 method.options.init=zero}",
            "study=transfer",
        ]
    )
    assert options.overrides == ["experiment=smoke", "train.epochs=3", "report.note=a b", "countries=[no,nepal]"]
    assert options.of_method("yapo") == ["method=yapo", "train.lr=1e-3", "method.options.init=zero"]
    assert options.of_method("caa") == ["method=caa"]
    assert compose(options.overrides).countries == ["no", "nepal"]


def test_empty_values_count_as_left_out() -> None:
    assert options_of(["countries=", "overrides=", "method_overrides=", "experiment="]) == options_of([])


def test_a_job_names_any_country() -> None:
    for country in ("egypt", "no", "true", "north-korea", "null"):
        assert as_text(f"country={country}") == f"country={quoted(country)}"
    assert compose(["country=null"]).country == "null"


CONFIG = [
    (["experimnt=smoke"], "--config experimnt=smoke: unknown key; did you mean experiment?"),
    (["experiments=smoke"], "did you mean experiment?"),
    (["country=egypt"], "--config country=egypt: unknown key; did you mean countries?"),
    (["override=x=1"], "did you mean overrides?"),
    (["epochs=3"], "settings go into overrides"),
    (["threads=4"], "--config threads=4: unknown key; settings go into overrides"),
    (["experiment=embeded"], "experiment=embeded: unknown experiment; did you mean embedded?"),
    (["experiment=Smoke"], "experiment=Smoke: unknown experiment; did you mean smoke?"),
    (["experiment=3.10"], "experiment=3.10: unknown experiment"),
    (["experiment=12e4567"], "experiment=12e4567: unknown experiment"),
    (["experiment=$(touch x)"], "experiment=$(touch x): unknown experiment"),
    (["experiment=../smoke"], "experiment=../smoke: unknown experiment"),
    (["experiment=[smoke]"], "experiment=['smoke']: give one text"),
    (["countries=egypt"], "countries=egypt: give a list, as 'countries=[egypt]'"),
    (["countries=egypt,nepal"], "countries=egypt,nepal: give a list, as 'countries=[egypt,nepal]'"),
    (["countries=3"], "countries=3: give a list"),
    (["countries={egypt: 1}"], "give a list"),
    (["countries=[[egypt]]"], "countries=[['egypt']]: give texts"),
    (["countries=[Egypt]"], "countries: 'Egypt' must be lower-case letters a-z, digits, _ and -, a letter first; write egypt"),
    (["countries=[../x]"], "countries: '../x' has a slash"),
    (["countries=[egypt;touch x]"], "countries: 'egypt;touch x' must be lower-case"),
    (["overrides=train.note='a"], "overrides=train.note='a: no closing quotation"),
    (["overrides=train.epochs=3 'x y"], "no closing quotation; close the quote"),
    (["overrides=[train.epochs=3]"], "overrides=['train.epochs=3']: give one text"),
    (["method_overrides=train.lr=1"], "method_overrides=train.lr=1: give overrides by method"),
    (["method_overrides=[yapo]"], "give overrides by method, as 'method_overrides={yapo: train.lr=1e-3}'"),
    (["method_overrides={yopa: train.lr=1}"], "method_overrides=yopa: unknown method; did you mean yapo?"),
    (["method_overrides={YaPO: train.lr=1}"], "method_overrides=YaPO: unknown method; did you mean yapo?"),
    (["method_overrides={yapo: [train.lr=1]}"], "method_overrides.yapo=['train.lr=1']: give one text"),
    (['method_overrides={yapo: "train.lr=\'1"}'], "method_overrides.yapo=train.lr='1: no closing quotation"),
    (["method_overrides={yapo: report.resamples=300}"], "is no setting of one method's training"),
    (["method_overrides={yapo: train.lr=1, yapo: train.beta=1}"], "names yapo twice; give all its overrides in one text"),
    (['method_overrides={"yapo":"train.lr=1","caa":"x","yapo":"train.lr=1"}'], "names yapo twice; give all its overrides"),
    (["study=all_tabels"], "study=all_tabels: unknown study; did you mean all_tables?"),
    (["study=train"], "study=train: unknown study"),
    (["study=[transfer]"], "study=['transfer']: give one text"),
]


@pytest.mark.parametrize(("words", "message"), CONFIG, ids=[words[0] for words, _ in CONFIG])
def test_what_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(YapoError) as caught:
        options_of(words)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


COMMANDS = [
    "--config experiment=smoke all_tables",
    "-C experiment=smoke all_tables",
    "--cores 2 --config all_tables",
    "--config overrides='train.epochs=3' country_egypt --cores 2",
    "--config 'a b=1'",
    "--config =smoke",
]
REFUSED = [
    *((command, "--config ", "put -- before the target") for command in COMMANDS),
    ("--config train.lr=1e-3 -- x", "--config train.lr=1e-3: is a setting; ", 'overrides="train.lr=1e-3"'),
    ("-C experiment=smoke data.path=a.csv", "--config data.path=a.csv: is a setting; ", "put it into overrides"),
    ("--config countries=[egypt, nepal] -- x", "--config countries=[egypt, nepal]: is split at a space; ", "in quotes"),
    ("--config method_overrides={yapo: train.lr=1}", "--config method_overrides={yapo: train.lr=1}: is split", "in quotes"),
    ("--executor slurm -n", "--executor slurm: the plugin that submits jobs is not installed; ", "pip install"),
    ("-n -e slurm", "--executor slurm: the plugin that submits jobs is not installed; ", "pip install"),
    ("--executor=slurm", "--executor slurm: the plugin that submits jobs is not installed; ", "pip install"),
    ("--workflow-profile profiles/slrm -n", "--workflow-profile profiles/slrm: no such folder; ", "profiles/"),
]


@pytest.mark.parametrize(("command", "start", "part"), REFUSED, ids=[command for command, *_ in REFUSED])
def test_commands_that_are_refused(
    command: str, start: str, part: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])  # no plugin is found
    with pytest.raises(SystemExit) as caught:
        check_command_line(shlex.split(command))
    line = capsys.readouterr().err
    assert caught.value.code == 2
    assert line.startswith(f"error: {start}")
    assert part in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("text", ["", "four", "-1", "2.5", " 8", "32GB", "٤", "9" * 30])
def test_numbers_of_the_slurm_profile(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAPO_SLURM_GPUS", text)
    with pytest.raises(YapoError, match=r"^YAPO_SLURM_GPUS=.*: must be a whole number, 0 or more; correct or unset it$"):
        slurm_number("YAPO_SLURM_GPUS", 8)
    monkeypatch.setenv("YAPO_SLURM_GPUS", "2")
    assert (slurm_number("YAPO_SLURM_GPUS", 8), slurm_number("YAPO_SLURM_MEM_MB", 32000)) == (2, 32000)


@pytest.mark.parametrize(
    "command",
    ["--config experiment=smoke -- all_tables", "all_tables --config experiment=smoke", "-n x", "", "--workflow-profile none x"],
)
def test_commands_that_are_clear(command: str) -> None:
    check_command_line(shlex.split(command))


def test_slurm_without_its_plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(SystemExit):
        check_command_line([], slurm=True)
    assert "run: pip install -e '.[slurm]'" in capsys.readouterr().err


NO_TARGETS = [
    ("country_egpyt", "country_egpyt: no such target; did you mean country_egypt?"),
    ("all_table", "did you mean all_tables?"),
    ("trian", "did you mean train?"),
    ("dspa", "dspa: no such target"),
    ("zzz", "zzz: no such target; docs/run.md lists them"),
    ("report.htm", "report.htm: no such target"),
    ("results/embedded/arabic/egipt/evaluation.parquet", "no job of this study makes this file; did you mean egypt?"),
    ("results/smok/arabic/egypt/evaluation.parquet", "did you mean smoke?"),
    ("nowhere/at/all", "nowhere/at/all: no job of this study makes this file; see docs/run.md"),
]


@pytest.mark.parametrize(("target", "message"), NO_TARGETS)
def test_targets_that_nothing_makes(target: str, message: str) -> None:
    with pytest.raises(YapoError) as caught:
        check_targets([target], RULES, lambda path: path.endswith("items.parquet"), ["egypt", "arabic", "yapo", "smoke"])
    assert message in str(caught.value)


def test_targets_that_are_made() -> None:
    check_targets(["train", "country_nepal", "results/smoke/items.parquet"], RULES, lambda path: "items" in path, [])
    assert set(TARGETS) >= {"all_tables", "all_studies", "transfer"}
