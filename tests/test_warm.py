"""Warm starts: a job in a forked child is the job that would have run alone, serves its own user only, and ends with its run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from yapo.processes import RUN
from yapo.warm import VARIABLE

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
# A run: starts the warm process, then one shell command for each line that it reads, as a workflow does.
STUDY = f"""
import os, subprocess, sys
os.environ["{RUN}"] = str(os.getpid())
from yapo.warm import start
start()
print(os.environ["{VARIABLE}"], flush=True)
for line in sys.stdin:
    print(subprocess.Popen(["bash", "-c", line], stdin=subprocess.DEVNULL).pid, flush=True)
"""
JOB = """
import json, os, sys
seen = {"arguments": sys.argv[1:], "warm": "transformers" in sys.modules, "said": os.environ.get("SAID"), "in": sys.stdin.read()}
print(json.dumps(seen))
print("a complaint", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
WAIT = """
import os, sys, time
with open("waiting", "w") as file:
    file.write(str(os.getpid()))
time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs start warm on Linux only")


@dataclass
class Runner:
    """Commands of one run, in a folder with its modules."""

    folder: Path
    name: str
    study: int = 0

    def environment(self, **more: str) -> dict[str, str]:
        without = {name: value for name, value in os.environ.items() if name not in (RUN, "PYTEST_CURRENT_TEST", "YAPO_CACHE")}
        return {**without, "PYTHONPATH": str(ROOT), VARIABLE: self.name, RUN: str(self.study), **more}

    def run(self, module: str, *arguments: str, user: int | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(module, *arguments),
            cwd=self.folder, env=self.environment(**more), input="words", capture_output=True, text=True, check=False, user=user,
        )  # fmt: skip

    def began(self, module: str) -> subprocess.Popen[bytes]:
        """Start a command and wait until its job is at work."""
        running = subprocess.Popen(command(module), cwd=self.folder, env=self.environment())
        self.wait()
        return running

    def wait(self) -> int:
        """Wait for a job that has begun, and return its process id."""
        waiting = self.folder / "waiting"
        until(lambda: waiting.exists() and bool(waiting.read_text()))
        process = int(waiting.read_text())
        waiting.unlink()
        self.job = process
        return process


class Study:
    """A run that starts the warm process and jobs."""

    def __init__(self, folder: Path, warm: str | None = None) -> None:
        for name, text in (("job", JOB), ("wait", WAIT)):
            (folder / f"{name}.py").write_text(text)
        environment = Runner(folder, "").environment()
        del environment[VARIABLE], environment[RUN]
        self.process = subprocess.Popen(
            [sys.executable, "-c", STUDY],
            cwd=folder,
            env=environment if warm is None else {**environment, VARIABLE: warm},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.runner = Runner(folder, self.process.stdout.readline().strip(), self.process.pid)

    def start(self, line: str) -> int:
        """Start one shell command as a child of the run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "yapo.warm", "-m", module, *arguments]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    made = Study(tmp_path_factory.mktemp("jobs"))
    yield made
    made.kill()


@pytest.fixture
def runner(study: Study) -> Runner:
    return study.runner


def test_a_warm_job_is_the_job(runner: Runner) -> None:
    done = runner.run("job", "3", "two words")
    assert json.loads(done.stdout) == {"arguments": ["3", "two words"], "warm": True, "said": None, "in": "words"}
    assert done.stderr == "a complaint\n"
    assert done.returncode == 3


def test_another_environment_starts_cold(runner: Runner) -> None:
    seen = json.loads(runner.run("job", "0", SAID="hello").stdout)
    assert (seen["warm"], seen["said"]) == (False, "hello")


def test_the_code_on_disk_runs(runner: Runner) -> None:
    (runner.folder / "edited.py").write_text("print('before')")
    assert runner.run("edited").stdout == "before\n"
    (runner.folder / "edited.py").write_text("print('after')")
    assert runner.run("edited").stdout == "after\n"


def test_an_error_is_told(runner: Runner) -> None:
    (runner.folder / "broken.py").write_text("raise ValueError('what went wrong')")
    done = runner.run("broken")
    assert done.returncode == 1
    assert "ValueError: what went wrong" in done.stderr


def test_jobs_run_side_by_side_and_end_with_their_commands(runner: Runner) -> None:
    commands = [runner.began("wait"), runner.began("wait")]
    first = runner.began("wait")
    job = runner.job
    assert job != first.pid
    first.kill()
    first.wait()
    until(lambda: not alive(job))
    for running in commands:
        assert running.poll() is None
        running.kill()
        running.wait()


def test_a_command_that_is_killed_while_it_asks_harms_no_other(runner: Runner) -> None:
    for said in (b"", b"12", (100).to_bytes(8, "little") + b"half"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"\0{runner.name}")
            connection.sendall(said)
    assert json.loads(runner.run("job", "0").stdout)["warm"] is True


def test_a_killed_job_is_told(runner: Runner) -> None:
    running = runner.began("wait")
    os.kill(runner.job, signal.SIGKILL)
    assert running.wait() == 128 + signal.SIGKILL


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_is_not_served_and_is_told_nothing(runner: Runner) -> None:
    """Neither as a command of this user's warm process, nor as a process that poses as one."""
    script = f"import os, socket, sys; os.setuid({NOBODY}); s = socket.socket(socket.AF_UNIX)\n"
    asks = script + "s.connect('\\0' + sys.argv[1]); print(s.recv(4))"
    intruder = subprocess.run([sys.executable, "-c", asks, runner.name], capture_output=True, text=True, check=False)
    assert intruder.stdout == "b''\n"
    poses = script + "s.bind('\\0yapo-posing'); s.listen(); print('ready', flush=True); print(s.accept()[0].recv(100))"
    posing = subprocess.Popen([sys.executable, "-c", poses], stdout=subprocess.PIPE, text=True)
    assert posing.stdout is not None
    assert posing.stdout.readline() == "ready\n"
    done = runner.run("job", "0", **{VARIABLE: "yapo-posing", "OPENAI_API_KEY": "sk-secret"})
    assert json.loads(done.stdout)["warm"] is False
    assert posing.communicate()[0] == "b''\n"


def test_everything_ends_with_a_killed_run(tmp_path: Path) -> None:
    """The warm process, a warm job and its command, and a job that started cold."""
    made = Study(tmp_path)
    warm = f"exec {sys.executable} -m yapo.warm -m wait"
    client = made.start(warm)
    job = made.runner.wait()
    minder = parent(job)
    cold = made.start(f"export SAID=hello; {warm}")
    assert made.runner.wait() == cold
    made.kill()
    until(lambda: not any(alive(process) for process in (client, job, minder, parent_or_self(minder), cold)))
    late = subprocess.run(
        command("job", "0"), cwd=tmp_path, capture_output=True, text=True, check=False,
        env=made.runner.environment(**{RUN: str(made.process.pid)}),
    )  # fmt: skip
    assert (late.returncode, late.stdout) == (1, "")
    assert "the run that started this job has ended" in late.stderr


def parent_or_self(process: int) -> int:
    try:
        return parent(process)
    except (FileNotFoundError, ProcessLookupError):
        return process


def test_no_warm_process_where_it_is_unwanted(tmp_path: Path) -> None:
    made = Study(tmp_path, warm="")
    assert made.runner.name == ""
    assert json.loads(made.runner.run("job", "0").stdout)["warm"] is False
    made.kill()


def test_a_command_without_a_module_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "yapo.warm", "yapo.stages.train"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python -m yapo.warm -m MODULE" in done.stderr


def test_a_killed_warm_process_takes_its_jobs_and_their_commands_start_again(study: Study) -> None:
    """The last test of this module, whose other tests need the warm process."""
    client = study.start(f"exec {sys.executable} -m yapo.warm -m wait")
    job = study.runner.wait()
    server = parent(parent(job))
    assert b"--serve" in Path(f"/proc/{server}/cmdline").read_bytes()
    os.kill(server, signal.SIGKILL)
    assert study.runner.wait() == client
    until(lambda: not alive(job))  # killed with it; the kernel may still be freeing its memory
