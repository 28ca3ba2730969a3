"""``yapo train``: the file it writes, what it leaves behind, and how it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import yapo as package
from tests.api.conftest import MODEL, SAE_FOLDER
from tests.cli.command import refused, yapo
from tests.refusals import contents
from yapo.files import write_parquet


@pytest.fixture
def file(tmp_path: Path, pairs: list[dict[str, Any]]) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return path


def test_it_writes_the_vector_that_the_function_makes(capfd: pytest.CaptureFixture[str], file: Path) -> None:
    output = file.with_name("v.safetensors")
    settings = ("--method", "yapo", "--sae", SAE_FOLDER, "--epochs", 2, "--lr", 1e-2, "--seed", 1)
    done = yapo(capfd, "train", "--model", MODEL, "--pairs", file, "-o", output, *settings)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{output}: yapo, layer 2, multiplier ")
    assert set(contents(file.parent)) == {"pairs.jsonl", "v.safetensors"}
    made = package.train(MODEL, file, "yapo", sae=SAE_FOLDER, epochs=2, lr=1e-2, seed=1)
    made.save(file.with_name("w.safetensors"))
    assert output.read_bytes() == file.with_name("w.safetensors").read_bytes()


def test_pairs_that_are_for_evaluation_only_are_refused(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, pairs: list[dict[str, Any]]
) -> None:
    path = tmp_path / "pairs.parquet"
    write_parquet(path, pd.DataFrame(pairs), "test")
    arguments = ("train", "--model", MODEL, "--pairs", path, "-o", tmp_path / "v.safetensors", "--layer", 1)
    refused(capfd, *arguments, parts=("pairs.parquet: states that it is for evaluation only", "give pairs"))
    assert set(contents(tmp_path)) == {"pairs.parquet"}
    write_parquet(path, pd.DataFrame(pairs))
    assert yapo(capfd, *arguments).status == 0


def test_an_output_that_is_there_is_kept(capfd: pytest.CaptureFixture[str], file: Path) -> None:
    output = file.with_name("v.safetensors")
    output.write_text("mine", encoding="utf-8")
    arguments = ("train", "--model", MODEL, "--pairs", file, "-o", output, "--layer", 1)
    refused(capfd, *arguments, parts=("v.safetensors: it is there", "--overwrite"))
    assert output.read_text(encoding="utf-8") == "mine"
    assert yapo(capfd, *arguments, "--overwrite").status == 0
    assert package.load_vector(output).info.layer == 1


def test_after_ctrl_c_the_same_command_goes_on_to_the_same_bytes(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, file: Path
) -> None:
    """The process is stopped as soon as an epoch is kept; the same command then ends in what an undisturbed one writes."""
    start = ["train", "--model", str(MODEL), "--pairs", str(file), "--method", "bipo", "--layer", "2"]
    command = [*start, "--epochs", "24", "--lr", "1e-2", "-o"]
    output, progress = tmp_path / "v.safetensors", tmp_path / "v.safetensors.unfinished"
    running = subprocess.Popen([sys.executable, "-m", "yapo", *command, str(output)], stderr=subprocess.PIPE, text=True)
    while running.poll() is None and not (progress / "training.safetensors").exists():
        time.sleep(0.005)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate()
    assert running.returncode == 130, told
    assert "stopped: run the same command again and it goes on" in told and told.strip().count("\n") == 0
    assert not output.exists() and progress.is_dir()
    assert yapo(capfd, *command, output).status == 0
    assert yapo(capfd, *command, tmp_path / "whole.safetensors").status == 0
    assert output.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not progress.exists()


BAD: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "another ending": (("-o", "v.gguf"), ("--output=v.gguf", "v.gguf.safetensors")),
    "a layer in words": (("-o", "v.safetensors", "--layer", "two"), ("--layer=two", "or auto")),
    "a negative layer": (("-o", "v.safetensors", "--layer", "-1"), ("--layer=-1",)),
    "an unknown method": (("-o", "v.safetensors", "--method", "nosuch"), ("nosuch", "see yapo train --help")),
    "no output": ((), ("--output", "see yapo train --help")),
    "a layer beyond": (("-o", "v.safetensors", "--layer", "9"), ("layer=9", "blocks 0..5")),
    "no autoencoder": (("-o", "v.safetensors", "--method", "yapo"), ("method=yapo", "give sae=")),
    "a folder that is not there": (("-o", "v.safetensors", "--model", "./nosuch"), ("model=./nosuch: no such folder",)),
    "a file that is not there": (("-o", "v.safetensors", "--pairs", "nosuch.csv"), ("nosuch.csv: no such file",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_is_written(
    capfd: pytest.CaptureFixture[str], file: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(file.parent)
    arguments, parts = BAD[case]
    refused(capfd, "train", "--model", MODEL, "--pairs", file, *arguments, parts=parts)
    assert set(contents(file.parent)) == {"pairs.jsonl"}
