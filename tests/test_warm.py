"""Warm starts: a job in a forked child is the job that would have run alone."""

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

from yapo.warm import VARIABLE, place

ROOT = Path(__file__).resolve().parents[1]
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
    """Commands of one study, in a folder with its modules."""

    folder: Path
    study: subprocess.Popen[bytes]

    @property
    def warm(self) -> Path:
        return Path(place(self.study.pid))

    def environment(self, **more: str) -> dict[str, str]:
        without = {name: value for name, value in os.environ.items() if name not in ("SLURM_JOB_ID", "PYTEST_CURRENT_TEST")}
        return {**without, "PYTHONPATH": str(ROOT), VARIABLE: str(self.warm), **more}

    def command(self, module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "yapo.warm", "-m", module, *arguments]

    def run(self, module: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(module, *arguments),
            cwd=self.folder, env=self.environment(**more), input="words", capture_output=True, text=True, check=False,
        )  # fmt: skip

    def began(self, module: str) -> subprocess.Popen[bytes]:
        """A command whose job has begun."""
        (self.folder / "waiting").unlink(missing_ok=True)
        running = subprocess.Popen(self.command(module), cwd=self.folder, env=self.environment())
        until(lambda: (self.folder / "waiting").exists() and bool((self.folder / "waiting").read_text()))
        return running

    def job(self) -> int:
        return int((self.folder / "waiting").read_text())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "job.py").write_text(JOB)
    (folder / "wait.py").write_text(WAIT)
    study = subprocess.Popen(["sleep", "600"])
    made = Runner(folder, study)
    first = made.run("job", "0")  # starts the warm process, and does not wait for it
    assert json.loads(first.stdout)["warm"] is False
    until((made.warm / "socket").exists)
    yield made
    study.kill()
    study.wait()


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


def test_jobs_run_side_by_side(runner: Runner) -> None:
    first = runner.began("wait")
    one = runner.job()
    second = runner.began("wait")
    assert alive(one)
    assert alive(runner.job())
    for running in (first, second):
        running.kill()
        running.wait()


def test_a_killed_command_takes_its_job_with_it(runner: Runner) -> None:
    running = runner.began("wait")
    assert runner.job() != running.pid
    running.kill()
    running.wait()
    until(lambda: not alive(runner.job()))


def test_a_command_that_is_killed_while_it_asks_harms_no_other(runner: Runner) -> None:
    for said in (b"", b"12", (100).to_bytes(8, "little") + b"half"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(runner.warm / "socket"))
            connection.sendall(said)
    assert json.loads(runner.run("job", "0").stdout)["warm"] is True


def test_a_killed_job_is_told(runner: Runner) -> None:
    running = runner.began("wait")
    os.kill(runner.job(), signal.SIGKILL)
    assert running.wait() == 128 + signal.SIGKILL


def test_it_ends_with_the_study(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    study = subprocess.Popen(["sleep", "600"])
    runner = Runner(tmp_path, study)
    runner.run("job", "0")
    until((runner.warm / "socket").exists)
    study.kill()
    study.wait()
    until(lambda: not runner.warm.exists())
    assert json.loads(runner.run("job", "0").stdout)["warm"] is False
    assert not runner.warm.exists()


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    study = subprocess.Popen(["sleep", "600"])
    runner = Runner(tmp_path, study)
    runner.warm.mkdir()
    try:
        os.chown(runner.warm, os.getuid() + 1, -1)
    except PermissionError:
        pytest.skip("only root can make a folder of another user")
    else:
        assert json.loads(runner.run("job", "0").stdout)["warm"] is False
        assert list(runner.warm.iterdir()) == []
    finally:
        runner.warm.rmdir()
        study.kill()
        study.wait()


def test_a_command_without_a_module_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "yapo.warm", "yapo.stages.train"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python -m yapo.warm -m MODULE" in done.stderr
