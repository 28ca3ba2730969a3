"""Warm starts: jobs are forked from a process that has imported the libraries already.

Importing torch and transformers often takes a job of the embedded study longer than its own work. ``start()`` begins a process
that imports them once and then forks a child for each ``python -m yapo.warm -m MODULE ARGS...``. The child is the job: same
folder, environment, output and exit status as ``python -m MODULE ARGS...``. Where there is no such process, or where it has
another folder or environment, the command simply becomes ``python -m MODULE ARGS...``.

- The socket has a random name in the kernel's abstract namespace, so that there is no file for anyone to find, replace or leave
  behind. Both ends ask the kernel who the other is, and neither sends a byte to another user.
- The kernel kills the warm process with the run, and every job with the warm process. A job is also killed when its command is.
- The warm process imports libraries only, so that a job always runs the code of this package that is on disk.

Linux only. Without a GPU only: a forked process cannot use CUDA if the process that it was forked from has looked for it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from yapo.processes import end_with_parent, end_with_run

VARIABLE = "YAPO_WARM"  # the name of the socket; empty where every job is to start from nothing
# The libraries that stages import. transformers loads a model's module only when it is named.
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
_SIZE, _STATUS, _CREDENTIALS = struct.Struct("q"), struct.Struct("i"), struct.Struct("3i")
_REFUSED = -(10**6)  # no exit status
_PATIENCE = 10.0  # seconds in which a command must have said what it wants
_OWN = {"_", "OLDPWD", "PWD", "SHLVL"}  # differ between commands of one run and mean nothing to a job
_FORK = multiprocessing.get_context("fork") if sys.platform == "linux" else None


def start() -> None:
    """Begin the warm process of this run, and put the name of its socket into the environment.

    Nothing happens where ``YAPO_WARM`` is set and empty, and on systems other than Linux. The process does not import anything
    before the first job asks, and ends with the thread that calls this.
    """
    if sys.platform != "linux" or os.environ.get(VARIABLE) == "":
        return
    name = f"yapo-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen(128)
        subprocess.Popen(
            [sys.executable, "-m", "yapo.warm", "--serve", str(listener.fileno()), str(os.getpid())],
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the run, which then ends its jobs
        )
    os.environ[VARIABLE] = name


def main(arguments: Sequence[str]) -> int:
    """Run a module as a warm job if that is possible, otherwise become it; return the module's exit status."""
    if len(arguments) < 2 or arguments[0] != "-m":
        print("no module given; write: python -m yapo.warm -m MODULE ARGS...", file=sys.stderr)
        return 2
    end_with_run()
    name = os.environ.get(VARIABLE)
    # A Slurm job that happens to run on the machine of its workflow belongs into its own allocation.
    status = _ask(name, list(arguments[1:])) if name and "SLURM_JOB_ID" not in os.environ else None
    if status is not None:
        return status
    end_with_run()  # the warm process may have ended because the run has
    os.execv(sys.executable, [sys.executable, *arguments])


def _ask(name: str, command: list[str]) -> int | None:
    """Return the exit status of a command that the warm process ran.

    Returns:
        None where there is no such process, where it refuses, and where it was killed: its job was killed with it.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(f"\0{name}")
            if not _is_ours(connection):
                return None
            request = json.dumps({"command": command, **_surroundings()}).encode()
            socket.send_fds(connection, [_SIZE.pack(len(request))], [0, 1, 2])
            connection.sendall(request)
            answer = connection.recv(_STATUS.size)
        except OSError:
            return None
    status: int = _STATUS.unpack(answer)[0] if len(answer) == _STATUS.size else _REFUSED
    return None if status == _REFUSED else status


def _is_ours(connection: socket.socket) -> bool:
    """Ask the kernel whether the other end belongs to this user."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return bool(user == os.geteuid())


def _surroundings() -> dict[str, Any]:
    """Return what a job inherits, and a warm process cannot change after the libraries have read it."""
    return {"cwd": os.getcwd(), "environment": {name: value for name, value in os.environ.items() if name not in _OWN}}


def serve(listener: socket.socket) -> None:
    """Serve commands until the kernel ends this process with its run; the first command decides folder and environment."""
    surroundings: dict[str, Any] = {}
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(_PATIENCE)
            try:
                request, streams = _receive(connection)
            except (OSError, ValueError, struct.error):  # of another user, or killed before it had said all
                continue
            command = request.pop("command")
            if not surroundings:
                surroundings = request
                _import_libraries(surroundings)
            if request == surroundings:
                assert _FORK is not None
                _FORK.Process(target=_mind, args=(os.getpid(), listener, connection, command, streams)).start()
            else:
                _answer(connection, _REFUSED)
            for stream in streams:
                os.close(stream)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read one request, and take over the standard streams of its command."""
    if not _is_ours(connection):
        raise PermissionError
    header, streams, _, _ = socket.recv_fds(connection, _SIZE.size, 3)
    try:
        with connection.makefile("rb") as file:
            return json.loads(file.read(_SIZE.unpack(header)[0])), streams
    except BaseException:
        for stream in streams:
            os.close(stream)
        raise


def _import_libraries(surroundings: dict[str, Any]) -> None:
    """Import the libraries as the first job would, in its folder and environment."""
    os.chdir(surroundings["cwd"])
    os.environ.clear()
    os.environ.update(surroundings["environment"])
    gc.disable()  # nothing is garbage while they are imported
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # children do not look through what was imported again and again
    gc.enable()


def _mind(parent: int, listener: socket.socket, connection: socket.socket, command: list[str], streams: list[int]) -> None:
    """Run one job in a child: tell its command how it ended, or kill it when its command is gone."""
    end_with_parent(parent)
    listener.close()
    assert _FORK is not None
    job = _FORK.Process(target=_run, args=(os.getpid(), connection, command, streams))
    job.start()
    ready, _, _ = select.select([connection.fileno(), job.sentinel], [], [])
    if job.sentinel not in ready:  # a command says nothing after its request: it has ended
        job.kill()
    job.join()
    status = job.exitcode or 0
    _answer(connection, status if status >= 0 else 128 - status)


def _answer(connection: socket.socket, status: int) -> None:
    with contextlib.suppress(OSError):  # the command has been killed meanwhile
        connection.sendall(_STATUS.pack(status))


def _run(parent: int, connection: socket.socket, command: list[str], streams: list[int]) -> None:
    """Run the module as ``python -m`` would, on the streams of its command."""
    end_with_parent(parent)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (multiprocessing has put another in its place)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in sys.modules if name.partition(".")[0] == __package__]:
        del sys.modules[name]  # the job reads them from disk
    sys.argv = ["", *command[1:]]
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        end_with_parent(int(sys.argv[3]))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        serve(socket.socket(fileno=int(sys.argv[2])))
    else:
        sys.exit(main(sys.argv[1:]))
