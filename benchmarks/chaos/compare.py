"""List what differs between two studies: files byte by byte, MLflow runs, and what killed processes may have left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

Problems = list[str]
_TORCH = "torchinductor_"  # torch's cache: one folder of a fixed name, which an undisturbed run makes too
_OWN = ("tags.mlflow.user", "tags.mlflow.source")  # of the person and the command, not of the study


def files(one: Path, other: Path) -> tuple[int, Problems]:
    """Compare two results folders; of logs and the database only the names, since they hold times."""
    left, right = _listing(one), _listing(other)
    problems = [
        f"only in {one.parent.parent.name if name in left else other.parent.parent.name}: {name}" for name in sorted(left ^ right)
    ]
    same = sorted(left & right)
    timed = ("logs/", "mlflow.db")
    problems += [
        f"differs: {name}"
        for name in same
        if not name.startswith(timed) and (one / name).read_bytes() != (other / name).read_bytes()
    ]
    return len(same), problems


def _listing(root: Path) -> set[str]:
    names = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() or path.is_symlink())
    return {name for name in names if not name.startswith("mlartifacts/")}


def tracking(one: Path, other: Path) -> tuple[int, Problems]:
    """Compare the MLflow runs of two results folders: settings, tags, metric rows, artifacts; times and ids aside."""
    left, right = _runs(one), _runs(other)
    problems = [
        f"MLflow run {name}: {len(left.get(name, []))} and {len(right.get(name, []))} times"
        for name in sorted({*left, *right})
        if len(left.get(name, [])) != len(right.get(name, []))
    ]
    for name in sorted(left.keys() & right.keys()):
        for part in left[name][0]:
            if left[name][0][part] != right[name][0][part]:
                problems.append(f"MLflow run {name}: {part} differ")
    return sum(len(run["metrics"]) for runs in left.values() for run in runs), problems


def _runs(results: Path) -> dict[str, list[dict[str, Any]]]:
    """The runs of a database by name, deleted ones under a name of their own."""
    made: dict[str, list[dict[str, Any]]] = {}
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        ask: Callable[..., list[tuple[Any, ...]]] = lambda query, *values: database.execute(query, values).fetchall()  # noqa: E731
        for run, name, status, stage in ask("select run_uuid, name, status, lifecycle_stage from runs"):
            tags = dict(ask("select key, value from tags where run_uuid = ?", run))
            artifacts = results / "mlartifacts" / run / "artifacts"
            made.setdefault(name if stage == "active" else f"{name} ({stage})", []).append(
                {
                    "states": status,
                    "tags": {key: value for key, value in tags.items() if not f"tags.{key}".startswith(_OWN)},
                    "params": sorted(ask("select key, value from params where run_uuid = ?", run)),
                    "metrics": sorted(ask("select key, step, is_nan, value from metrics where run_uuid = ?", run)),
                    "artifacts": {
                        path.relative_to(artifacts).as_posix(): path.read_bytes()
                        for path in artifacts.rglob("*")
                        if path.is_file()
                    },
                }
            )
    return made


def left_behind(folder: Path, temporary: Path) -> Problems:
    """Temporary files, scratch folders, locks and marks of unfinished jobs."""
    snakemake = folder / ".snakemake"
    kept = [*(snakemake / "locks").glob("*"), *(snakemake / "incomplete").glob("*"), *snakemake.glob("shell_tmp*")]
    kept += [
        path
        for pattern in ("*.part", "*.part.*", "*.partial", "*.scratch", "*-journal", "*-wal")
        for path in folder.rglob(pattern)
    ]
    return [
        f"left behind: {path}"
        for path in sorted({*kept, *(path for path in temporary.iterdir() if not path.name.startswith(_TORCH))})
    ]
