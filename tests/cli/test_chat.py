"""``yapo chat``: the conversation goes on while its steering changes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

import yapo as package
from tests.api.conftest import MODEL, SAE_FOLDER
from tests.cli.command import Done, yapo
from yapo.api.answers import reply
from yapo.api.models import opened_model

FIRST, SECOND = "Would you run an insurance company if it earned you four million euros?", "Would you like to own a gas field?"


def typed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, lines: list[str], *options: object) -> Done:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    return yapo(capfd, "chat", "--model", MODEL, "--max-new-tokens", 24, *options)


def test_it_answers_as_the_library_does(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, sparse: Path) -> None:
    """Steered, then unsteered in the same conversation, then in a new one."""
    done = typed(capfd, monkeypatch, [FIRST, "/off", SECOND, "/new", SECOND], "--vector", sparse, "-m", 2, "--sae", SAE_FOLDER)
    assert (done.status, done.err) == (0, "")
    with opened_model(MODEL) as lm:
        with package.steer(lm.model, package.load_vector(sparse), 2.0, sae=SAE_FOLDER):
            first = reply(lm, [FIRST], 24)
        wanted = [first, reply(lm, [FIRST, first, SECOND], 24), reply(lm, [SECOND], 24)]
        assert first != reply(lm, [FIRST], 24)
    shown = [line.strip() for line in done.out.replace("> ", "").splitlines()]
    answers = ["2 x sparse.safetensors; /help lists the commands", wanted[0], "unsteered", wanted[1], "unsteered", wanted[2]]
    assert [line for line in shown if line] == answers


def test_orders(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, dense: Path, sparse: Path) -> None:
    done = typed(
        capfd, monkeypatch, ["/lambda 0.5", "/off", "/lambda -1", f"/vector {sparse}", "/quit", "never"], "--vector", dense
    )
    strength = package.load_vector(sparse).info.multiplier
    states = ["0.5 x dense.safetensors", "unsteered", "-1 x dense.safetensors", f"{strength:g} x sparse.safetensors"]
    assert done.out.replace("> ", "").splitlines()[1:] == states
    assert done.err == ""


def test_what_cannot_be_done_is_told_and_the_conversation_goes_on(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = typed(capfd, monkeypatch, ["/lambda x", "/lambda 1", "/vector nosuch.safetensors", "/nosuch", "/help"])
    assert done.status == 0
    assert [line.partition("; ")[0] for line in done.err.splitlines()] == [
        "error: /lambda x: no number",
        "error: /lambda: there is no vector yet",
        "error: nosuch.safetensors: no such file",
        "error: /nosuch: no such command",
    ]
    assert "/vector FILE" in done.out
