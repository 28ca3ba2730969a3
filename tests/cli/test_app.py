"""Common behaviour of all commands: help, refusals, Ctrl-C."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest
import typer

from tests.cli.command import refused, yapo
from yapo import __version__
from yapo.cli import app
from yapo.cli.doctor import NAME, missing_packages
from yapo.cli.interruption import Interruption
from yapo.errors import YapoError

HEAVY = {"torch", "transformers", "pandas", "numpy", "hydra", "mlflow", "snakemake", "scipy"}


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = f"""
import sys
from yapo.cli.app import main
try:
    main(["--help"])
except SystemExit as ended:
    assert ended.code == 0
assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    for name in app.COMMANDS:
        assert f"  {name} " in done.stdout


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "yapo", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout == f"{__version__}\n"
    refusal = subprocess.run([sys.executable, "-m", "yapo", "nosuch"], check=False, capture_output=True, text=True)
    assert (refusal.returncode, refusal.stderr.count("\n")) == (2, 1)


def test_without_a_command_the_help_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    done = yapo(capfd)
    assert (done.status, done.err) == (0, "")
    assert "Commands:" in done.out


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_has_help_with_an_example(capfd: pytest.CaptureFixture[str], name: str) -> None:
    done = yapo(capfd, name, "--help")
    assert done.status == 0
    assert f"Example: yapo {name}" in done.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nosuch"], ("nosuch", "see yapo --help")),
        (["--nosuch"], ("--nosuch", "see yapo --help")),
        (["doctor", "--nosuch"], ("--nosuch", "see yapo doctor --help")),
        (["doctor", "more"], ("more", "see yapo doctor --help")),
    ],
)
def test_wrong_arguments_get_one_sentence(
    capfd: pytest.CaptureFixture[str], arguments: list[str], parts: tuple[str, ...]
) -> None:
    refused(capfd, *arguments, parts=parts)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (YapoError("v.safetensors: damaged; make it again"), 2, "error: v.safetensors: damaged; make it again\n"),
        (OSError(errno.ENOSPC, "full", "v.safetensors"), 2, "error: v.safetensors: No space left on device; free some"),
        (KeyboardInterrupt(), 130, "\nstopped: nothing was left half-written; run the same command again\n"),
        (Interruption("run it again, it goes on from epoch 3"), 130, "\nstopped: run it again, it goes on from epoch 3\n"),
    ],
)
def test_an_error_of_a_command_is_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, line: str
) -> None:
    def fails() -> None:
        raise error

    other = typer.Typer(rich_markup_mode=None)
    other.command("fails")(fails)
    other.callback()(lambda: None)
    monkeypatch.setattr(app, "app", other)
    done = yapo(capfd, "fails")
    assert done.status == status
    assert done.err.startswith(line) and done.err.strip().count("\n") == 0


def test_doctor_shows_versions_and_extras(capfd: pytest.CaptureFixture[str]) -> None:
    done = yapo(capfd, "doctor")
    assert done.status == 0
    assert f"yapo: {__version__}\n" in done.out
    assert "extra study: installed\n" in done.out


def test_a_package_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "gguf<1,>=0.19; extra == 'gguf'",
        "nosuch-package>=1; extra == 'gguf'",
        f"{NAME}[gguf]; extra == 'all'",
        "torch>=2.9",
    ]
    monkeypatch.setattr("yapo.cli.doctor.requires", lambda _: lines)
    assert missing_packages() == {"gguf": ["nosuch-package"]}
