"""CPU time of a study by stage, from the last line of each job's log.

python benchmarks/where_time_goes.py results/embedded
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd

# As yapo/stages/app.py writes it.
SPENT = re.compile(r"took ([\d.]+) s of CPU, at most (\d+) MB of memory")


def jobs(study: Path) -> pd.DataFrame:
    """One row per job: stage, CPU seconds, peak resident memory in MB."""
    rows = []
    for path in sorted((study / "logs").rglob("*.log")):
        stage = path.relative_to(study / "logs").parts[0].removesuffix(".log")
        if stage == "train":
            stage = f"train {path.stem.rpartition('-')[2]}"
        found = SPENT.findall(path.read_text(encoding="utf-8"))
        rows += [{"stage": stage, "cpu": float(cpu), "peak_mb": float(peak)} for cpu, peak in found[-1:]]
    return pd.DataFrame(rows, columns=["stage", "cpu", "peak_mb"])


def main(study: Path) -> None:
    """Print a table per stage, the dearest first."""
    table = jobs(study)
    stages = table.groupby("stage")
    summary = stages.agg(jobs=("cpu", "size"), cpu=("cpu", "sum"), mean=("cpu", "mean"), peak_mb=("peak_mb", "max"))
    summary = summary.sort_values("cpu", ascending=False)
    summary.loc["total"] = [len(table), table["cpu"].sum(), table["cpu"].mean(), table["peak_mb"].max()]
    print(summary.round(1).to_string())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/embedded"))
