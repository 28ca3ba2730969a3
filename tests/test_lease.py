"""The device lease: exclusive, freed by the kernel, and never outside the devices that the environment allows."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from yapo.errors import YapoError
from yapo.lease import become, devices, take_device

ROOT = Path(__file__).resolve().parents[1]
SHOW = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
HOLD = """
import os, sys, time
records, go = sys.argv[1:]
def note(word):
    with open(records, "a") as file:
        file.write(f"{word} {os.environ['CUDA_VISIBLE_DEVICES']} {os.getpid()}\\n")
note("start")
while not os.path.exists(go):
    time.sleep(0.02)
note("end")
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("YAPO_GPUS", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "YAPO_LEASED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("YAPO_LEASE_DIR", str(tmp_path / "locks"))


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes by hand; those still alive at the end of the test are killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def leased(*command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "yapo.lease", "--", *command)


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, text=True, capture_output=True, timeout=60)


def output(*command: str, **variables: str) -> str:
    done = run(*command, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


@contextmanager
def held(folder: Path, device: str) -> Iterator[None]:
    """Hold a device as another job does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{device}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def is_held(folder: Path, device: str) -> bool:
    try:
        with held(folder, device):
            return False
    except BlockingIOError:
        return True


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("3", ["3"]),
        ("2, 0,2", ["2", "0"]),
        ("0,-1,1", ["0"]),
        ("GPU-1f,MIG-77/1/0", ["GPU-1f", "MIG-77/1/0"]),
    ],
)
def test_devices_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch, listing: str, expected: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listing)
    assert devices() == expected


def test_pretended_devices_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("YAPO_GPUS", "0,1")
    assert devices() == ["0", "1"]


def test_a_machine_without_nvidia_smi_has_no_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices() == []
    assert output(*leased(sys.executable, "-c", SHOW)) == "None"


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs a machine with an NVIDIA driver")
def test_devices_are_those_that_the_driver_lists() -> None:
    listed = [line for line in output("nvidia-smi", "-L").splitlines() if line.startswith("GPU ")]
    assert devices() == [str(index) for index in range(len(listed))]


def test_eight_jobs_share_four_devices_and_a_killed_holder_frees_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,MIG-a/1/0,MIG-a/2/0")
    records, go = tmp_path / "records", tmp_path / "go"
    records.touch()

    def starts() -> list[tuple[str, int]]:
        rows = [line.split() for line in records.read_text().splitlines()]
        return [(device, int(pid)) for word, device, pid in rows if word == "start"]

    jobs = {job.pid: job for job in (start(*leased(sys.executable, "-c", HOLD, str(records), str(go))) for _ in range(8))}
    until(lambda: len(starts()) == 4, "four jobs at once")
    device, victim = starts()[0]
    jobs[victim].send_signal(signal.SIGKILL)
    jobs[victim].wait()
    until(lambda: len(starts()) == 5, "a fifth job once a holder was killed")
    assert starts()[4][0] == device  # the three other holders have not been let go
    go.touch()
    for pid, job in jobs.items():
        assert job.wait(60) == (-signal.SIGKILL if pid == victim else 0)

    assert {pid for _, pid in starts()} == set(jobs)
    holder: dict[str, str] = {}
    for line in records.read_text().splitlines():
        word, name, owner = line.split()
        if word == "start":
            assert holder.get(name, str(victim)) == str(victim), f"{name} was given out twice"
            holder[name] = owner
        else:
            assert holder.pop(name) == owner
    assert holder == {}


def test_the_command_sees_only_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6")
    assert output(*leased(sys.executable, "-c", SHOW)) == "6"
    monkeypatch.setenv("YAPO_GPUS", "2")
    assert output(*leased(sys.executable, "-c", SHOW)) == "2"


def test_the_command_runs_without_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert output(*leased(sys.executable, "-c", SHOW)) == ""
    assert not (tmp_path / "locks").exists()


def test_a_lease_inside_a_lease_does_not_wait_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert output(*leased(*leased(sys.executable, "-c", SHOW))) == "1"


def test_slurm_jobs_keep_what_slurm_gave_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with held(tmp_path / "locks", "0"):  # a second job of another allocation, whose device is called "0" as well
        assert output(*leased(sys.executable, "-c", SHOW), SLURM_JOB_ID="17") == "0"


def test_jobs_within_one_slurm_allocation_share_its_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with held(tmp_path / "locks" / "slurm-17", "0"):
        assert output(*leased(sys.executable, "-c", SHOW)) == "1"


@pytest.mark.parametrize("kind", ["shell", "python"])
def test_a_shell_child_keeps_the_lock_and_a_python_child_does_not(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    monkeypatch.setenv("YAPO_GPUS", "0")
    python = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"
    commands = {"shell": ("sh", "-c", "sleep 60 & echo $!; wait"), "python": (sys.executable, "-c", python)}
    holder = start(*leased(*commands[kind]))
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    assert is_held(tmp_path / "locks", "0")
    holder.kill()
    holder.wait()
    assert is_held(tmp_path / "locks", "0") == (kind == "shell")
    os.kill(child, signal.SIGKILL)
    until(lambda: not is_held(tmp_path / "locks", "0"), "the lock is free once the last heir has ended")


@pytest.mark.parametrize(
    ("command", "message"),
    [((), "no command given"), (("no-such-command",), "no-such-command: no such command"), ((__file__,), "not executable")],
)
def test_a_command_that_cannot_start_is_named(
    command: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YAPO_GPUS", "0")
    with held(tmp_path / "locks", "0"), pytest.raises(YapoError, match=message):  # the message must come without a wait
        become(command)


def test_the_command_line_ends_with_one_line_and_status_2() -> None:
    done = run(*leased("no-such-command"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("no-such-command: no such command, or not executable; check")


def test_an_unusable_lock_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("YAPO_GPUS", "0")
    monkeypatch.setenv("YAPO_LEASE_DIR", str(tmp_path / "file"))
    with pytest.raises(YapoError, match="set YAPO_LEASE_DIR"):
        take_device()
    folder = tmp_path / "folder"
    (folder / "0.lock").mkdir(parents=True)
    monkeypatch.setenv("YAPO_LEASE_DIR", str(folder))
    with pytest.raises(YapoError, match=r"0\.lock: no device locks here"):
        take_device()


@pytest.mark.parametrize("kind", ["link", "file", "open to all"])
def test_a_default_lock_folder_that_others_could_have_made_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("YAPO_LEASE_DIR")
    monkeypatch.setenv("YAPO_GPUS", "0")
    monkeypatch.setattr("yapo.lease.DEFAULT_FOLDER", str(tmp_path / "locks"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        (tmp_path / "locks").symlink_to(elsewhere)
    elif kind == "file":
        (tmp_path / "locks").write_text("in the way")
    else:
        (tmp_path / "locks").mkdir()
        (tmp_path / "locks").chmod(0o777)
    with pytest.raises(YapoError, match=r"locks: no device locks here .*; set YAPO_LEASE_DIR"):
        take_device()
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_the_place_of_a_lock_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YAPO_GPUS", "0")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "0.lock").symlink_to(tmp_path / "made")
    with pytest.raises(YapoError, match=r"0\.lock: no device locks here"):
        take_device()
    assert not (tmp_path / "made").exists()


def test_importing_the_lease_imports_nothing_heavy() -> None:
    heavy = output(sys.executable, "-c", "import sys, yapo.lease; print(*{'torch', 'numpy', 'pandas'} & sys.modules.keys())")
    assert heavy == ""
