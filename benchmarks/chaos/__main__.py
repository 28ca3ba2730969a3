"""Kill, fill, lock and close a small study at random moments, then compare it with one that was left alone.

python -m benchmarks.chaos --kills 50 --seed 0

Linux only. Mounts (a small disk, a read-only folder) are made in a mount namespace of this program's own, by root or through a
user namespace, and vanish with it. Exit status 0 only if nothing differs and nothing is left.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from benchmarks.chaos import compare
from benchmarks.chaos.study import Study

INSIDE = "YAPO_CHAOS_INSIDE"
KINDS = {"job": 45, "command": 20, "helper": 15, "run": 10, "group": 10}  # share of kills that each gets, in percent
SLICE = 6.0  # CPU seconds of the study between two disturbances, in the mean; often much less, sometimes much more
LOCKED_SECONDS = 30.0


class Chaos:
    """The disturbances, and what came of them."""

    def __init__(self, study: Study, seed: int) -> None:
        self.study, self.dice = study, random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []
        self.runs = 0
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {text}", flush=True)

    def start(self) -> None:
        self.study.start()
        self.runs += 1

    def work(self) -> bool:
        """Let the study work for a random slice of CPU time; return False if it came to its end before."""
        study, slice_ = self.study, self.dice.expovariate(1 / SLICE)
        if study.run is None:
            self.start()
        assert study.run is not None
        planning = self.dice.random() < 0.1  # mostly the slice begins with the first job
        begun: float | None = None
        while study.run.poll() is None:
            processes = study.processes()
            cpu = sum(process.cpu for process in processes)
            if begun is None and (planning or any(process.pid != study.run.pid for process in processes)):
                begun = cpu
            if begun is not None and cpu - begun >= slice_:
                return True
            time.sleep(0.1)
        return False

    def be_at_work(self) -> None:
        """Leave with a run in the middle of its work."""
        while not self.work():
            self.ended()

    def ended(self) -> None:
        """Note that a run came to its end; where the study is complete, take a part of it away."""
        assert self.study.run is not None
        status = self.study.run.wait()
        self.study.run = None
        self.say(f"run {self.runs} ended, status {status}")
        if status == 0:
            self.take_away()

    def take_away(self) -> None:
        """Delete a country, the tables and the figures, so that there is work again."""
        countries = sorted(path.parent for path in self.study.results.glob("*/*/evaluation.parquet"))
        gone = [self.dice.choice(countries), self.study.results / "tables", self.study.results / "figures"]
        for path in gone:
            shutil.rmtree(path)
        (self.study.results / "mlflow.done").unlink()
        self.say(f"complete: {gone[0].name}, tables and figures deleted to have it work again")

    def kill_some(self, number: int) -> None:
        """Kill ``number`` times."""
        done = 0
        while done < number:
            self.be_at_work()
            kind = self.dice.choices(list(KINDS), list(KINDS.values()))[0]
            victim = None
            if kind in ("job", "command", "helper"):
                victims = self.study.victims(kind)
                if not victims:
                    continue
                victim = self.dice.choice(sorted(victims, key=lambda process: process.pid))
            left = self.study.kill(kind, victim)
            done += 1
            self.kills[kind] += 1
            what = f"{victim.pid} {victim.command.partition(' -m ')[2]}".strip()[:90] if victim else ""
            self.say(f"kill {sum(self.kills.values()):3d}  {kind:8s} {what}")
            self.problems += [f"outlived its run by {process.cpu:.0f} s: {process.command}" for process in left]

    def fill_disk(self, disk: bool) -> None:
        """Fill the study's disk while it works, or where there is none of its own limit the size of its files, then free it."""
        if disk:
            self.be_at_work()
            ballast = self.study.folder / "ballast"
            with ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(1 << 16)):
                        pass
                except OSError:
                    pass
            self.say("disk full")
            status = self.study.finish()
            ballast.unlink()
        else:
            import resource

            self.start()
            assert self.study.run is not None
            resource.prlimit(self.study.run.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
            status = self.study.finish()
        self.expect_failure("disk full", status)

    def close_results(self) -> None:
        """Make the results read-only while the study works, then writable again."""
        results, closed = str(self.study.folder / "results"), self.study.folder / "closed"
        self.be_at_work()
        closed.mkdir()
        subprocess.run(["mount", "--bind", results, str(closed)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(closed)], check=True)
        subprocess.run(["mount", "--bind", str(closed), results], check=True)
        subprocess.run(["umount", str(closed)], check=True)
        closed.rmdir()
        self.say("results read-only")
        status = self.study.finish()
        self.study.survivors()
        subprocess.run(["umount", "-l", results], check=True)
        self.expect_failure("read-only", status)

    def expect_failure(self, what: str, status: int) -> None:
        self.say(f"run {self.runs} ended, status {status}; {what} no more")
        self.problems += [f"{what}: the run said that all was well"] if status == 0 else []
        self.problems += [f"{what}: traceback in {log}" for log in self.study.tracebacks()]

    def lock_database(self) -> None:
        """Have another program hold the database for a while, when the runs of one country are in it and the rest is to come."""
        study = self.study
        while (status := study.finish()) != 0:
            self.say(f"run ended, status {status}")
        (study.results / "mlflow.done").unlink()
        for path in study.results.glob("mlflow*"):
            path.unlink()
        shutil.rmtree(study.results / "mlartifacts")
        country = sorted(study.results.glob("*/*/evaluation.parquet"))[0].parent
        country.rename(study.folder / "aside")
        study.command(sys.executable, "-m", "yapo.tracking", "ingest", "--results", str(study.results))
        (study.folder / "aside").rename(country)
        begun = threading.Event()
        thread = threading.Thread(target=_hold, args=(study.results / "mlflow.db", begun))
        thread.start()
        begun.wait()
        self.say(f"database locked for {LOCKED_SECONDS:.0f} s")
        status = study.finish()
        thread.join()
        self.say(f"run ended, status {status}; database free")

    def settle(self) -> None:
        """Run to the end, undisturbed; the next run must have nothing to do."""
        for _ in range(3):
            status = self.study.finish()
            self.say(f"undisturbed run ended, status {status}")
            if status == 0:
                break
        else:
            self.problems.append("the study does not come to its end")
        again = self.study.command(*self.study.snakemake("--", "all_tables"))
        if "Nothing to be done" not in again.stdout + again.stderr:
            self.problems.append("a second run has something to do")


def _hold(database: Path, begun: threading.Event) -> None:
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        connection.execute("begin exclusive")
        begun.set()
        time.sleep(LOCKED_SECONDS)


def _inside_namespace() -> bool:
    """Become this program in a mount namespace of its own; return False where the system does not allow one."""
    if os.environ.get(INSIDE):
        return True
    for options in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        if shutil.which("unshare") and subprocess.run(["unshare", *options, "true"], capture_output=True).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp("unshare", ["unshare", *options, sys.executable, "-m", "benchmarks.chaos", *sys.argv[1:]])
    return False


def _small_disk(folder: Path, megabytes: int) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def main() -> int:
    """Run the program; return 0 if the disturbed study equals the undisturbed one and left nothing behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=f"{__doc__}".partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--reference", type=Path, help="folder of an undisturbed run made before, to save its time")
    parser.add_argument("--config", nargs="*", default=[], help="settings for snakemake --config: a smaller or larger study")
    options = parser.parse_args()
    if sys.platform != "linux":
        print("chaos needs Linux: it looks into /proc and mounts a small disk", file=sys.stderr)
        return 2
    mounts = _inside_namespace()

    work = Path(tempfile.mkdtemp(prefix="yapo-chaos-"))
    undisturbed = Study(options.reference or work / "undisturbed", work / "undisturbed-tmp", options.config, options.cores)
    disturbed = Study(work / "disturbed", work / "disturbed-tmp", options.config, options.cores)
    chaos = Chaos(disturbed, options.seed)
    chaos.say(f"seed {options.seed}, {options.kills} kills, in {work}")
    if options.reference is None:
        undisturbed.folder.mkdir()
        undisturbed.prepare()
        status = undisturbed.finish()
        chaos.say(f"the undisturbed run took {time.monotonic() - chaos.began:.0f} s, status {status}")
        if status != 0:
            print(f"error: the undisturbed run fails; see {undisturbed.log}", file=sys.stderr)
            return 1

    disturbed.folder.mkdir()
    used = sum(path.stat().st_size for path in undisturbed.folder.rglob("*") if path.is_file() and not path.is_symlink())
    disk = mounts and _small_disk(disturbed.folder, used // 500_000 + 50)
    if not disk:
        chaos.say("no mounts allowed here: a limit on file sizes stands in for the full disk; read-only results are left out")
    disturbed.prepare()
    third = options.kills // 3
    try:
        chaos.kill_some(third)
        chaos.fill_disk(disk)
        chaos.kill_some(third)
        if disk:
            chaos.close_results()
        chaos.kill_some(options.kills - 2 * third)
        chaos.lock_database()
        chaos.settle()
    finally:
        if disturbed.run is not None:
            disturbed.kill("group", None)

    checks: list[tuple[str, int, list[str]]] = [("disturbances", sum(chaos.kills.values()), chaos.problems)]
    checks.append(("files", *compare.files(undisturbed.results, disturbed.results)))
    checks.append(("metric rows in MLflow", *compare.tracking(undisturbed.results, disturbed.results)))
    checks.append(("processes alive", len(alive := disturbed.survivors()), [f"alive: {process.command}" for process in alive]))
    checks.append(("sockets open", len(names := disturbed.open_sockets()), [f"open: {name}" for name in names]))
    checks.append(("temporary files and locks", len(left := compare.left_behind(disturbed.folder, disturbed.temporary)), left))
    print("\nkills: " + ", ".join(f"{number} {kind}" for kind, number in sorted(chaos.kills.items())) + f"; {chaos.runs} runs")
    print(f"{'':28s}{'number':>8s}{'wrong':>8s}")
    for name, number, wrong in checks:
        print(f"{name:28s}{number:8d}{len(wrong):8d}")
    problems = [problem for _, _, wrong in checks for problem in wrong]
    for problem in problems:
        print(problem)
    if problems:
        print(f"kept for a look: {work} (the small disk goes with this program; its results: {work / 'kept'})")
        shutil.copytree(disturbed.folder, work / "kept", symlinks=True)
    elif disk:
        subprocess.run(["umount", "-l", str(disturbed.folder)], check=True)
    if not problems:
        shutil.rmtree(work)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
