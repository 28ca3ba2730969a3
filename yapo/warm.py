"""Start a job in a moment: from a process that has imported the libraries already.

Importing torch and transformers often takes a job of the embedded study longer than its own work. With ``YAPO_WARM`` set to
a folder, ``python -m yapo.warm -m MODULE ARGS...`` has such a process fork a child that does what ``python -m MODULE`` would:
same folder, environment, output and exit status, and it ends if its command is killed. Without the variable, with another
environment than the warm process has, or while that process is getting ready, the command simply becomes ``python -m MODULE``.

The first command that finds no warm process starts one. It imports libraries only, never this package, so that a job always runs
the code on disk. It ends with the study (the process whose id ends the folder's name) or after ``IDLE_SECONDS`` without a job.
The Snakefile sets the variable, unless it is set, on a machine without a GPU: a forked process cannot use CUDA if the process
that it was forked from has looked for it. Slurm jobs start cold.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

VARIABLE = "YAPO_WARM"
IDLE_SECONDS = 600.0
# What stages import, the slow ones in full; transformers loads a model's module when it is first named.
LIBRARIES = (
    "hydra",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "pandas",
    "pandera.pandas",
    "pyarrow.parquet",
    "sacrebleu.metrics.chrf",
    "scipy.stats",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.gemma2.modeling_gemma2",
    "transformers.models.llama.modeling_llama",
)
_SOCKET = "socket"
_STATUS = struct.Struct("i")
# Differ between commands of one study, and mean nothing to a job.
_OWN = {"_", "OLDPWD", "PWD", "SHLVL"}


def place(study: int) -> str:
    """The folder of a study's warm process, by the id of the process whose jobs it serves: the value of ``YAPO_WARM``."""
    return str(Path(tempfile.gettempdir()) / f"yapo-warm-{os.getuid()}-{study}")


def main(arguments: Sequence[str]) -> int:
    """Run a module warm if that can be, else become it; returns the module's exit status."""
    if len(arguments) < 2 or arguments[0] != "-m":
        print("no module given; write: python -m yapo.warm -m MODULE ARGS...", file=sys.stderr)
        return 2
    folder = _folder()
    if folder is not None:
        status = _ask(folder, list(arguments[1:]))
        if status is not None:
            return status
    os.execv(sys.executable, [sys.executable, *arguments])


def _folder() -> Path | None:
    """Where a warm process is; None, having started one, where there is none yet, and None where there can be none.

    There can be one while the study lives, on its own machine, in a folder that is this user's.
    """
    if not os.environ.get(VARIABLE) or "SLURM_JOB_ID" in os.environ or sys.platform != "linux":
        return None
    folder = Path(os.environ[VARIABLE])
    try:
        os.kill(_study(folder), 0)
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return folder if folder.stat().st_uid == os.getuid() else None
    except (OSError, ValueError):
        return None
    serve = [sys.executable, "-m", "yapo.warm", "--serve", str(folder)]
    subprocess.Popen(
        serve, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    return None


def _study(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _ask(folder: Path, command: list[str]) -> int | None:
    """The exit status of a command that a warm process ran; None where there is none for it."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(folder / _SOCKET))
        except OSError:
            return None
        request = json.dumps({"command": command, **_surroundings()}).encode()
        socket.send_fds(connection, [struct.pack("q", len(request))], [0, 1, 2])
        connection.sendall(request)
        answer = connection.recv(_STATUS.size)
        if len(answer) < _STATUS.size:
            print(f"the warm process of {folder} ended; run the job again", file=sys.stderr)
            return 1
        status: int = _STATUS.unpack(answer)[0]
        return None if status == _REFUSED else status


def _surroundings() -> dict[str, Any]:
    """What a job inherits and a warm process cannot change any more, since libraries have read it."""
    return {"cwd": os.getcwd(), "environment": {name: value for name, value in os.environ.items() if name not in _OWN}}


_REFUSED = -(10**6)  # no exit status


@dataclass
class _Job:
    connection: socket.socket
    process: BaseProcess


def serve(folder: Path) -> None:
    """Import the libraries, then fork a child for every command until the study has ended."""
    surroundings = _surroundings()  # before libraries add to them
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # children do not look through what was imported again and again
    jobs: dict[int, _Job] = {}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(folder / _SOCKET))
        listener.listen()
        loop = stack.enter_context(selectors.DefaultSelector())
        loop.register(listener, selectors.EVENT_READ, None)
        study = os.pidfd_open(_study(folder))
        loop.register(study, selectors.EVENT_READ, None)
        last = time.monotonic()
        while True:
            for key, _ in loop.select(timeout=IDLE_SECONDS):
                last = time.monotonic()
                if key.fd == study:
                    return
                if key.fileobj is listener:
                    _begin(listener, loop, jobs, surroundings)
                elif key.data.connection.fileno() < 0:  # finished in this same look
                    continue
                elif key.data.process.sentinel == key.fd:
                    _finish(key.data, loop, jobs)
                elif key.fd in jobs:  # its command is gone
                    key.data.process.terminate()
                    loop.unregister(key.fileobj)
            if not jobs and time.monotonic() - last >= IDLE_SECONDS:
                return


def _begin(listener: socket.socket, loop: selectors.BaseSelector, jobs: dict[int, _Job], surroundings: dict[str, Any]) -> None:
    """Take one command, and start it."""
    connection, _ = listener.accept()
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    try:
        request = json.loads(_receive(connection, struct.unpack("q", size)[0]))
    except (struct.error, ValueError):  # killed before it had said all
        request = {"command": None}
    command = request.pop("command")
    if request != surroundings:
        with contextlib.suppress(OSError):
            connection.sendall(_STATUS.pack(_REFUSED))
        connection.close()
    else:
        others = [listener, connection, *(job.connection for job in jobs.values())]
        process = multiprocessing.get_context("fork").Process(target=_run, args=(command, streams, others, loop))
        process.start()
        job = jobs[connection.fileno()] = _Job(connection, process)
        loop.register(connection, selectors.EVENT_READ, job)
        loop.register(process.sentinel, selectors.EVENT_READ, job)
    for stream in streams:
        os.close(stream)


def _receive(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size and (part := connection.recv(size - len(parts))):
        parts += part
    return bytes(parts)


def _finish(job: _Job, loop: selectors.BaseSelector, jobs: dict[int, _Job]) -> None:
    """Tell a command how its job ended."""
    loop.unregister(job.process.sentinel)
    with contextlib.suppress(KeyError):  # already left out where the command was gone first
        loop.unregister(job.connection)
    job.process.join()
    status = job.process.exitcode or 0
    with contextlib.suppress(OSError):
        job.connection.sendall(_STATUS.pack(status if status >= 0 else 128 - status))
    del jobs[job.connection.fileno()]
    job.connection.close()
    job.process.close()


def _run(command: list[str], streams: list[int], others: list[socket.socket], loop: selectors.BaseSelector) -> None:
    """In the child: be the command."""
    loop.close()
    for other in others:
        other.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (multiprocessing has put another in its place)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["", *command[1:]]
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    else:
        sys.exit(main(sys.argv[1:]))
