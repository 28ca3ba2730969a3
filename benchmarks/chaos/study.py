"""A study in a folder of its own, its processes, and what it leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = "YAPO_CHAOS"  # in the environment of every process of a study, with the study's folder
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 10.0  # seconds in which everything must have ended after its run was killed


@dataclass(frozen=True)
class Process:
    """A process of a study, as /proc has it."""

    pid: int
    parent: int
    command: str
    cpu: float


@dataclass
class Study:
    """One folder with a study, and the run that works on it."""

    folder: Path
    temporary: Path
    config: list[str]
    cores: int = 2
    run: subprocess.Popen[bytes] | None = None
    sockets: set[str] = field(default_factory=set)

    @property
    def results(self) -> Path:
        return self.folder / "results" / "smoke"

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def prepare(self) -> None:
        """Lay out the folder as a clone of the repository is."""
        self.temporary.mkdir(exist_ok=True)
        (self.folder / "world").symlink_to(ROOT / "world")
        (self.folder / "results").mkdir()

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), MARK: str(self.folder)}

    def snakemake(self, *arguments: str) -> list[str]:
        base = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", str(self.cores)]
        profile = ["--workflow-profile", str(ROOT / "profiles" / "default"), "--max-jobs-per-timespan", "100/1s"]
        profile += ["--retries", "9"]  # a killed job costs no run
        return [*base, *profile, "--config", "experiment=smoke", *self.config, *arguments]

    def start(self) -> None:
        """Start a run in the background, in a process group of its own."""
        self.unlock()
        with self.log.open("ab") as log:
            self.run = subprocess.Popen(
                self.snakemake("--", "all_tables"),
                cwd=self.folder, env=self.environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def finish(self) -> int:
        """Let the run in the background, or a new one, come to its end; return its exit status."""
        if self.run is None:
            self.start()
        assert self.run is not None
        status = self.run.wait()
        self.run = None
        return status

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the study to its end."""
        return subprocess.run(
            arguments, cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False
        )  # fmt: skip

    def unlock(self) -> None:
        """Do what ``snakemake --unlock`` does, without the seconds that it needs to plan."""
        shutil.rmtree(self.folder / ".snakemake" / "locks", ignore_errors=True)

    def processes(self) -> list[Process]:
        """Every living process of the study, its run included."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            with suppress(OSError, ValueError):
                environment = (entry / "environ").read_bytes().split(b"\0")
                if f"{MARK}={self.folder}".encode() not in environment:
                    continue
                self.sockets |= {line.decode()[10:] for line in environment if line.startswith(b"YAPO_WARM=yapo-")}
                after = (entry / "stat").read_text().rpartition(")")[2].split()
                if after[0] != "Z":
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    cpu = sum(int(ticks) for ticks in after[11:15]) / TICKS
                    found.append(Process(int(entry.name), int(after[1]), command, cpu))
        return found

    def victims(self, kind: str) -> list[Process]:
        """Processes of a kind: job, command (what the workflow started), helper (the warm process and what minds its jobs)."""
        assert self.run is not None
        everyone = self.processes()
        helpers = [process for process in everyone if "yapo.warm --serve" in process.command]
        servers = [process for process in helpers if process.parent == self.run.pid]
        minders = [process for process in helpers if process.parent in {server.pid for server in servers}]
        forked = [process for process in helpers if process.parent in {minder.pid for minder in minders}]
        commands = [process for process in everyone if process.parent == self.run.pid and process not in servers]
        cold = [process for process in commands if "yapo.warm" not in process.command]
        return {"job": forked + cold, "command": commands, "helper": servers + minders}[kind]

    def kill(self, kind: str, victim: Process | None) -> list[Process]:
        """Kill a process, the run alone, or the whole process group of the run.

        Returns:
            What was still alive ``PATIENCE`` seconds after the run had been killed.
        """
        assert self.run is not None
        if victim is not None:
            with suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
            return []
        (os.killpg if kind == "group" else os.kill)(self.run.pid, signal.SIGKILL)
        self.run.wait()
        self.run = None
        return self.survivors()

    def survivors(self) -> list[Process]:
        """Processes that do not end by themselves; they are killed then, so that the next run starts clean."""
        deadline = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        return left

    def open_sockets(self) -> list[str]:
        """Sockets of the study's warm processes that still exist."""
        listed = Path("/proc/net/unix").read_text()
        return [name for name in self.sockets if f"@{name}" in listed]

    def tracebacks(self) -> list[str]:
        """Job logs that show a user a traceback."""
        logs = (self.results / "logs").rglob("*.log")
        return [str(path.relative_to(self.results)) for path in logs if "Traceback (most recent call last)" in path.read_text()]
