"""``yapo serve`` itself: what it refuses, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.api.conftest import MODEL, SAE_FOLDER
from tests.cli.command import refused
from tests.serving.conftest import QUESTION
from tests.serving.reference import answer
from yapo.cli import serve as command
from yapo.serving.server import bound_socket, is_loopback

KEY = "key-of-this-test"


@contextmanager
def started(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Give a process of the command, the line that it says and its address."""
    words = [sys.executable, "-m", "yapo", "serve", "--model", str(MODEL), "--port", "0", *map(str, arguments)]
    given = {**os.environ, **environment}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, line, line.partition("/v1: ")[0]
        finally:
            process.kill()


def test_it_answers_until_ctrl_c(sparse: Path) -> None:
    """While an answer is streamed; the key is asked for, and never told."""
    vector = ("--vector", f"wealth={sparse}", "--sae", SAE_FOLDER, "--multiplier", 3)
    with started(*vector, YAPO_API_KEY=KEY) as (process, line, address):
        assert line == f"{address}/v1: {MODEL}, 3 x wealth; Ctrl-C ends it\n"
        assert address.startswith("http://127.0.0.1:")
        with httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {KEY}"}) as client:
            chat = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 24}
            made = client.post("/v1/chat/completions", json=chat).json()
            assert made["choices"][0]["message"]["content"] == answer(QUESTION, [sparse], [3])
            assert httpx2.get(f"{address}/v1/models").status_code == 401
            endless = {"prompt": "one", "max_tokens": 500, "temperature": 2, "n": 16, "stream": True}
            with client.stream("POST", "/v1/completions", json=endless) as response:
                lines = response.iter_lines()
                assert json.loads(next(lines).removeprefix("data: "))["choices"]
                begun = time.monotonic()
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < 10
        assert process.returncode == 130
        assert err == "\nstopped: the server has ended; answers under way were given up\n"
        assert out == ""


def test_another_host_without_a_key_is_warned_of(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(command.KEY, raising=False)
    arguments = ("serve", "--model", "nosuch", "--host", "0.0.0.0", "--port", 0)
    with pytest.raises(SystemExit):
        from yapo.cli.app import main

        main([str(argument) for argument in arguments])
    warning, error = capfd.readouterr().err.splitlines()
    assert warning == (
        "WARNING: --host=0.0.0.0: whoever reaches this machine can use the server; "
        "set YAPO_API_KEY in the environment to ask for a key"
    )
    assert error.startswith("error: model=nosuch: no such folder")
    monkeypatch.setenv(command.KEY, KEY)
    assert "WARNING" not in refused(capfd, *arguments)


@pytest.mark.parametrize(("host", "wanted"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_loopback_is_told_from_other_addresses(host: str, wanted: bool) -> None:
    with bound_socket(host, 0) as opened:
        assert is_loopback(opened) is wanted


def test_a_port_that_is_taken_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        parts = (f"--port={port}: cannot be used on 127.0.0.1 (Address already in use)", "give another one")
        refused(capfd, "serve", "--model", MODEL, "--port", port, parts=parts)


BAD: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "a host that is not there": (("--host", "203.0.113.7"), ("--port=0: cannot be used on 203.0.113.7",)),
    "a host without an address": (("--host", "no such host"), ("--host=no such host: no address of this machine",)),
    "a port beyond": (("--port", 70000), ("--port", "see yapo serve --help")),
    "a vector that is not there": (("--vector", "a=nosuch.safetensors"), ("nosuch.safetensors: no such file",)),
    "two of one name": (("--vector", "a=x.safetensors", "--vector", "a=y.safetensors"), ("a vector is called a already",)),
    "a name with a space": (("--vector", "my vector.safetensors"), ("give it a name of letters",)),
    "an infinite multiplier": (("--vector", "a={dense}", "-m", "inf"), ("multiplier=inf: not a finite number",)),
    "a multiplier without a vector": (("-m", 2), ("--multiplier=2: no --vector to steer by",)),
    "no places": (("--max-batch", 0), ("--max-batch", "see yapo serve --help")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dense: Path, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, parts = BAD[case]
    given = [str(argument).format(dense=dense) for argument in arguments]
    refused(capfd, "serve", "--model", MODEL, *([] if "--port" in given else ["--port", 0]), *given, parts=parts)


def test_the_extra_is_named_where_it_is_missing(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yapo.errors.find_spec", lambda name: None if name == "uvicorn" else object())
    refused(
        capfd,
        "serve",
        "--model",
        MODEL,
        parts=("uvicorn is not installed", "the extra 'serve'", "pip install 'yapo-pipeline[serve]'"),
    )
