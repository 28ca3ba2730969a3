"""Processes of a run: a job ends with the run that started it, and the next run clears what a killed one left."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import sys
from pathlib import Path

RUN = "YAPO_RUN"  # the process id of the run whose job this is; the Snakefile sets it
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end at once if it has ended already.

    The order stays in force when this process becomes another program (exec), and does not pass to children.

    Args:
        parent: The process id that the parent had when it started this process.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def end_with_run() -> None:
    """End with the parent, if this is a job of a run; end at once if the run has ended already.

    Nothing happens outside a run, and on systems other than Linux.
    """
    run = os.environ.get(RUN, "")
    if sys.platform != "linux" or not run.isdecimal():
        return
    end_with_parent(os.getppid())
    if os.getppid() != int(run) and _has_ended(int(run)):
        sys.exit("the run that started this job has ended; start the run again")


def _has_ended(process: int) -> bool:
    """Report whether a process is gone, or waits only for its parent to take note of its end."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 0)[0])
    finally:
        os.close(handle)


_held: list[int] = []  # descriptors whose locks last as long as this process


def clear_temporary(current: Path, pattern: str) -> None:
    """Mark this run's temporary folder as in use, and delete the folders beside it that killed runs of this user marked.

    Args:
        current: The folder; the process that made it deletes it if it ends by itself.
        pattern: The names of such folders. Those without a mark stay: they belong to other programs.
    """
    for folder in [current, *sorted(current.parent.glob(pattern))]:
        with contextlib.suppress(OSError):  # it is another user's, or at work, or has just been deleted
            create = os.O_CREAT if folder == current else 0
            lock = os.open(folder / "yapo.lock", os.O_RDWR | os.O_NOFOLLOW | create, 0o600)
            _held.append(lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder != current and os.fstat(lock).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
                os.close(_held.pop())


def put_interpreter_first() -> None:
    """Let ``python`` in the commands of jobs be the interpreter of this process, also where its environment is not activated."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
