"""The command ``yapo`` in this process, as a shell would run it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from yapo.cli.app import main


@dataclass(frozen=True)
class Done:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


def yapo(capfd: pytest.CaptureFixture[str], *arguments: object) -> Done:
    """Run ``yapo`` with these arguments."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    assert isinstance(ended.value.code, int)
    return Done(ended.value.code, out, err)


def refused(capfd: pytest.CaptureFixture[str], *arguments: object, parts: tuple[str, ...] = ()) -> str:
    """Run ``yapo`` with arguments that it must refuse in one sentence with these parts; return the sentence."""
    done = yapo(capfd, *arguments)
    assert done.status == 2, done
    assert done.err.startswith("error: ") and done.err.count("\n") == 1, done.err
    assert [part for part in parts if part not in done.err] == [], done.err
    return done.err
