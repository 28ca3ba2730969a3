"""A working directory in which the repository's Snakefile runs, for tests of the DAG."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = "tasks=[open_ended] settings=[nonlocalized] methods=[caa,yapo] discovery.layer=1 discovery.countries=[nepal]"


class Study:
    """A working directory of its own; ``snakemake`` runs the repository's Snakefile in it.

    Attributes:
        folder: the directory, with a link to the embedded world.
        root: where the study writes.
        settings: what every command has under ``--config``, beside ``experiment=smoke``.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder, self.settings = folder, settings
        self.root = folder / "results" / "smoke"
        folder.mkdir(exist_ok=True)
        (folder / "world").symlink_to(ROOT / "world")

    def command(self, *arguments: str, config: tuple[str, ...] = ()) -> list[str]:
        base = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
        base += ["--max-jobs-per-timespan", "100/1s"]  # Snakemake's end waits for one timespan
        return [*base, "--config", "experiment=smoke", *self.settings, *config, *arguments]

    def snakemake(self, *arguments: str, config: tuple[str, ...] = (), fails: bool = False) -> str:
        """Return what a command printed; it ends well, unless it ``fails``."""
        done = subprocess.run(
            self.command(*arguments, config=config),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        output = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, output[-4000:]
        return output

    def planned(self, *arguments: str, config: tuple[str, ...] = ()) -> Counter[str]:
        """Return the jobs that a dry run lists, by rule; of the tables, unless ``arguments`` name a target."""
        target = arguments if "--" in arguments else (*arguments, "--", "all_tables")
        return planned_jobs(self.snakemake("--dry-run", *target, config=config))


def small(folder: Path) -> Study:
    """Return a study of one country, two methods, one task and one setting."""
    return Study(folder, "countries=[nepal]", f"overrides={SMALL}")


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def planned_jobs(output: str) -> Counter[str]:
    """Return the jobs by rule that a dry run's output lists."""
    counts = re.search(r"^\d+ jobs? to run: (.+(?:\n    .+)*)$", output, re.MULTILINE)
    return Counter({name: int(count) for count, name in re.findall(r"(\d+)\s+(\w+)", counts[1] if counts else "")})
