"""``yapo run`` and ``yapo ui`` become the study's programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import refused
from tests.conftest import ROOT


def test_run_hands_everything_to_snakemake_with_its_exit_status() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yapo", "run", "--nosuch"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "unrecognized arguments: --nosuch" in done.stderr


def test_run_needs_the_rules(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(capfd, "run", "--cores", "1", parts=("Snakefile: no such file here", "clone"))


def test_ui_takes_a_folder_of_a_study(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "yapo", "ui", "--results", str(tmp_path / "nosuch")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nosuch: no such" in done.stderr and "Traceback" not in done.stderr
