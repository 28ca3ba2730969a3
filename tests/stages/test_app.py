"""The start of every stage: what it prints, refuses, limits and lets a stage read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from yapo.config import Config
from yapo.config.compose import compose, plain
from yapo.config.conf_files import ROOT, group_options, groups
from yapo.stages import data, evaluate, train
from yapo.stages.app import DeclaredSettings, run


def fails(stage: Callable[[Config], None], arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a stage that must end with status 2."""
    with pytest.raises(SystemExit) as caught:
        run(stage, arguments)
    out, err = capsys.readouterr()
    assert (caught.value.code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.mark.parametrize("country", ["egyptt", "Egypt", "france"])
def test_unknown_country(tmp_path: Path, capsys: pytest.CaptureFixture[str], country: str) -> None:
    results = f"results={tmp_path / 'results'}"
    line = fails(train.main, [results, f"country={country}", "discovery.layer=1"], capsys)
    assert f"country={country}: unknown country;" in line
    assert ("did you mean egypt?" in line) == (country != "france")
    assert "choose among egypt, ksa" in line
    assert not list(tmp_path.iterdir())


def test_inputs_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = f"results={tmp_path / 'results'}"
    assert "layer.json: no such file; run the stage that makes it" in fails(evaluate.main, [results], capsys)
    assert "items.parquet: no such file; run the stage" in fails(evaluate.main, [results, "discovery.layer=1"], capsys)
    assert "mcq.safetensors: no such file" in fails(train.main, [results, "discovery.layer=1"], capsys)
    assert "mine.csv: no such file (data.path)" in fails(data.main, [results, "data=table", "data.path=mine.csv"], capsys)


@pytest.mark.parametrize(
    ("stage", "fix"),
    [(data.main, "give a folder you may write to"), (train.main, "no such file; give an existing one")],  # train reads first
    ids=["data", "train"],
)
def test_a_place_that_cannot_be_written(
    stage: Callable[[Config], None], fix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below a regular file, where not even root can write."""
    (tmp_path / "file").write_text("in the way")
    line = fails(stage, [f"results={tmp_path / 'file'}", "discovery.layer=1"], capsys)
    assert str(tmp_path / "file") in line
    assert fix in line
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    line = fails(data.main, [f"results={tmp_path / 'locked'}"], capsys)
    assert "Permission denied" in line
    assert "give a folder you may write to" in line


def test_a_bad_table_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.csv").write_text("question_id,question\nf1,what?\n")
    arguments = [f"results={tmp_path / 'results'}", "data=table", f"data.path={tmp_path / 'mine.csv'}"]
    assert "mine.csv: columns language, country" in fails(data.main, arguments, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


def test_the_data_stage_by_hand(tmp_path: Path) -> None:
    """The command as typed, in a process of its own."""
    study = tmp_path / "results" / "embedded"
    command = [sys.executable, "-m", "yapo.stages.data", f"results={tmp_path / 'results'}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    files = sorted(str(path.relative_to(study)) for path in study.rglob("*") if path.is_file())
    assert files == ["data/items.parquet", "data/leakage.json", "data/split.parquet"]
    assert len(pd.read_parquet(study / "data" / "split.parquet")) == 104
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    run(data.main, [f"results={tmp_path / 'results'}"])
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def nothing(config: Config) -> None:
    """A stage that must not be reached."""
    raise AssertionError(f"reached with {config}")


def test_config_prints_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    run(nothing, ["--config", "train.epochs=3"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed == plain(compose(["train.epochs=3"]))


def test_help_names_every_choice(capsys: pytest.CaptureFixture[str]) -> None:
    run(data.main, ["--help"])
    out = capsys.readouterr().out
    assert out.startswith("Stage ``data``")
    for group in groups():
        (line,) = [line for line in out.splitlines() if line.strip().startswith(f"{group}:")]
        assert [name for name in group_options(group) if name not in line] == []


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(AssertionError, match="reached"):
        run(nothing, [])


def test_threads_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting counts also where torch is imported already; a variable of the shell wins over it."""
    before, seen = torch.get_num_threads(), list[int]()
    other = before + 1
    try:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        run(lambda _config: seen.append(torch.get_num_threads()), [f"threads={other}"])
        run(lambda _config: seen.append(torch.get_num_threads()), [f"threads={other + 1}"])
    finally:
        torch.set_num_threads(before)
    assert seen == [other, other]
    assert os.environ["OMP_NUM_THREADS"] == str(other)


def test_a_stage_reads_the_settings_that_it_names_and_no_others() -> None:
    config = compose([])
    seen = DeclaredSettings(config, ["train.lr", "generation.max_new_tokens_mcq", "studies.ablations.variants"])
    assert seen.train.lr == config.train.lr
    assert seen.generation.max_new_tokens("mcq") == config.generation.max_new_tokens("mcq")
    assert seen.studies.ablations.changes == config.studies.ablations.changes
    assert seen.studies.reliability.countries == config.studies.reliability.countries
    assert seen.folder == config.folder
    for read in (
        lambda: seen.studies.reliability.setting,
        lambda: seen.train.epochs,
        lambda: seen.model,
        lambda: seen.generation.max_new_tokens("open_ended"),
        lambda: seen.studies.ablations.seeds,
    ):
        with pytest.raises(AssertionError, match="which its READS does not name"):
            read()
