"""One device of this machine for one process: a lock that the kernel frees however its holder ends.

``python -m yapo.lease -- CMD ARGS...`` waits for a free device, sets ``CUDA_VISIBLE_DEVICES`` and becomes CMD (exec), lock
included. Nothing is leased, and the command simply runs, where there is no device, and inside a lease (``YAPO_LEASED``: a job
must not wait for the device that it holds). Under Slurm each allocation (``SLURM_JOB_ID``) has locks of its own: it is
exclusive already, and every one may know its first device as "0".

The lock is ``flock`` and not ``lockf``: a POSIX lock would go as soon as any descriptor of the file is closed. Lock files lie in
``YAPO_LEASE_DIR``, by default one folder for each user under /tmp: every job has to look in the same place, and ``TMPDIR`` often
differs between jobs. The folder has to be on a local disk.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from yapo.errors import YapoError
from yapo.processes import end_with_run

POLL_SECONDS = 0.2
DEFAULT_FOLDER = f"/tmp/yapo-lease-{os.getuid()}"
_END_OF_LIST = ("", "-1", "none", "NoDevFiles")
_log = logging.getLogger(__name__)


def devices() -> list[str]:
    """Return the names of the devices that a job may use, in order.

    ``YAPO_GPUS`` (pretended devices, for trying a schedule without hardware) decides where it is set, then
    ``CUDA_VISIBLE_DEVICES``, whose entries may be indices, ``GPU-...`` or ``MIG-...`` ids and of which, as in CUDA, those after
    an invalid one do not count; otherwise ``nvidia-smi`` is asked.

    Returns:
        The names as ``CUDA_VISIBLE_DEVICES`` takes them; empty on a machine without a GPU.
    """
    for variable in ("YAPO_GPUS", "CUDA_VISIBLE_DEVICES"):
        if variable in os.environ:
            return _entries(os.environ[variable])
    return _installed()


def _entries(listing: str) -> list[str]:
    """Split a comma-separated list of devices, up to the first entry that names none."""
    names: list[str] = []
    for entry in listing.split(","):
        name = entry.strip()
        if name in _END_OF_LIST:
            break
        if name not in names:
            names.append(name)
    return names


def _installed() -> list[str]:
    """Return the indices of the GPUs that the driver reports."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        # A broken driver should be seen: the job would otherwise fall back to the CPU without a word.
        _log.warning("nvidia-smi gave no list of devices (%s); going on without a GPU", error)
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip().isdigit()]


def _lock_folder() -> Path:
    """Return the folder of the lock files, and make it where there is none."""
    shared = os.environ.get("YAPO_LEASE_DIR")
    folder = Path(shared or DEFAULT_FOLDER)
    try:
        folder.mkdir(mode=0o777 if shared else 0o700, parents=True, exist_ok=True)
        if not shared:
            _check_own(folder)
        if "SLURM_JOB_ID" in os.environ:
            folder /= f"slurm-{os.environ['SLURM_JOB_ID']}"
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _unusable(folder, f"{error.strerror}") from None
    return folder


def _check_own(folder: Path) -> None:
    """Refuse a folder at a known address that another user may have put there, or may change."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _unusable(folder, "it is a link or a file")
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _unusable(folder, "other users may change it")


def _unusable(place: Path, reason: str) -> YapoError:
    return YapoError(f"{place}: no device locks here ({reason}); set YAPO_LEASE_DIR to a local folder you may write to")


def _try_lock(path: Path) -> int | None:
    """Lock ``path`` without waiting.

    Returns:
        The open descriptor that holds the lock, or None where another process holds it.
    """
    descriptor = None
    try:
        # Reading is enough for flock, so that people who share a lock folder can lock each other's files.
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise _unusable(path, f"{error.strerror}") from None
    return descriptor


def _wait_for_one(names: Sequence[str]) -> tuple[str, int]:
    """Wait until one of the devices is free; return its name and the descriptor that holds its lock."""
    folder = _lock_folder()
    told = False
    while True:
        # A random order keeps jobs that start together from all contending for the first device.
        for name in random.sample(names, len(names)):
            descriptor = _try_lock(folder / f"{name.replace('/', '_')}.lock")
            if descriptor is not None:
                return name, descriptor
        if not told:
            _log.warning("waiting for a free device among %s (locks in %s)", ", ".join(names), folder)
            told = True
        time.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))


def take_device() -> int | None:
    """Wait for a free device and let the environment name it alone.

    Returns:
        The descriptor that holds its lock, or None where there is nothing to lease.

    Raises:
        YapoError: The folder of the lock files cannot be used.
    """
    names = [] if "YAPO_LEASED" in os.environ else devices()
    if not names:
        return None
    name, descriptor = _wait_for_one(names)
    os.environ |= {"CUDA_VISIBLE_DEVICES": name, "YAPO_LEASED": name}
    return descriptor


def become(command: Sequence[str]) -> None:
    """Lease a device and replace this process by ``command``, which holds the lock until it ends.

    A child that inherits the descriptor (a shell's background job) keeps the device with it; Python's ``subprocess`` closes it.

    Raises:
        YapoError: The command does not exist, or the folder of the lock files cannot be used.
    """
    if not command:
        raise YapoError("no command given; write: python -m yapo.lease -- CMD ARGS...")
    if shutil.which(command[0]) is None:  # before the wait, which may last hours
        raise YapoError(f"{command[0]}: no such command, or not executable; check its spelling and PATH")
    descriptor = take_device()
    if descriptor is not None:
        os.set_inheritable(descriptor, True)
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        raise YapoError(f"{command[0]}: cannot be started ({error.strerror}); check that it is a program") from None


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return an exit status only where the command could not be started."""
    end_with_run()
    try:
        become(arguments[1:] if arguments[:1] == ["--"] else arguments)
    except YapoError as error:
        print(error, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
