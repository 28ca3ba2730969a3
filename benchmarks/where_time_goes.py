"""Where a study's time went, from the benchmark file that Snakemake writes for each job.

python benchmarks/where_time_goes.py results/embedded
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd


def jobs(study: Path) -> pd.DataFrame:
    """One row per job: stage, wall seconds, CPU seconds, peak resident memory in MB."""
    rows = []
    for path in sorted((study / "benchmarks").rglob("*.tsv")):
        stage = path.relative_to(study / "benchmarks").parts[0].removesuffix(".tsv")
        if stage == "train":
            stage = f"train {path.stem.rpartition('-')[2]}"
        rows.append({"stage": stage, **pd.read_csv(path, sep="\t").iloc[0][["s", "cpu_time", "max_rss"]]})
    return pd.DataFrame(rows)


def main(study: Path) -> None:
    """Print a table per stage."""
    table = jobs(study)
    summary = table.groupby("stage", sort=False).agg(
        jobs=("s", "size"), wall=("s", "sum"), mean_wall=("s", "mean"), cpu=("cpu_time", "sum"), peak_mb=("max_rss", "max")
    )
    summary.loc["total"] = [
        summary["jobs"].sum(),
        summary["wall"].sum(),
        table["s"].mean(),
        summary["cpu"].sum(),
        table["max_rss"].max(),
    ]
    print(summary.round(1).to_string())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/embedded"))
