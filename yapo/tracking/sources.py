"""What the files of a study say about the training of each vector. Nothing here knows MLflow."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from yapo import files
from yapo.errors import YapoError

#: Series taken from the rows of a curve, under the same names for every method so that the methods overlay in one chart.
SERIES = ("loss", "margin", "lr", "norm", "displacement", "l0", "validation_loss")
_CURVES, _PARTIAL = "curves.jsonl", "curves.jsonl.partial"

Point = tuple[str, int]  # the name of a metric and the training step it belongs to
FileState = tuple[tuple[str, int, int], ...]  # path, time of the last change in nanoseconds, size in bytes


@dataclass
class RunRecord:
    """All that one MLflow run is to show.

    Attributes:
        name: ``egypt/yapo/mcq/both``; no other run of the study has it.
        tags: What the UI filters and groups by.
        metrics: Values by metric and training step.
        params: Flat settings of the training.
        artifacts: Files, each with the folder that it goes to.
        complete: Whether the training has ended.
        time: When the run took place, in milliseconds since 1970: the last change of its curve.
        digest: Identifies the content (not the times) of the record, artifacts included.
    """

    name: str
    tags: dict[str, str]
    metrics: dict[Point, float]
    params: dict[str, str]
    artifacts: list[tuple[Path, str]]
    complete: bool
    time: int
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        """Compute the digest."""
        artifacts = sorted((folder, path.name, files.file_digest(path)) for path, folder in self.artifacts)
        self.digest = files.digest([self.tags, sorted(self.metrics.items()), self.params, artifacts, self.complete])


class _Row(NamedTuple):
    """One line of a curve file."""

    task: str
    setting: str
    ends_epoch: bool
    epoch: int
    step: int
    values: dict[str, float]


class _Curve(NamedTuple):
    """A curve file, its rows by task and setting."""

    runs: dict[tuple[str, str], list[_Row]]
    complete: bool
    time: int


def method_folders(results: Path) -> list[Path]:
    """Find the folders ``<language>/<country>/train/<method>`` of a study that have a curve, sorted."""
    return sorted({path.parent for path in _curves(results)})


def _curves(results: Path) -> list[Path]:
    return [path for name in (_CURVES, _PARTIAL) for path in results.glob(f"*/*/train/*/{name}")]


def state(folder: Path) -> FileState:
    """Describe the files that ``read_method`` reads, without reading them; an equal state means that nothing changed."""
    country, method = folder.parents[1], folder.name
    return _state([*folder.glob("*"), *(country / "vectors" / method).glob("*"), *country.glob("*.parquet")])


def figures_state(results: Path) -> FileState:
    """Describe the figures of a study, without reading them."""
    return _state(_figures(results))


def _state(paths: list[Path]) -> FileState:
    found = []
    for path in sorted(paths):
        with contextlib.suppress(FileNotFoundError):  # a temporary file may go between the listing and this
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)


def _figures(results: Path) -> list[Path]:
    return sorted(path for pattern in ("*.svg", "*.png") for path in (results / "figures").glob(pattern))


def read_figures(results: Path) -> list[RunRecord]:
    """Gather the figures of a study in one run named ``study``; no run where there are none."""
    figures = _figures(results)
    if not figures:
        return []
    # Dated before all others, for the UI draws the newest runs only, and this one has no curve.
    time = min(changed for _, changed, _ in _state([*figures, *_curves(results)])) // 1_000_000
    return [RunRecord("study", {}, {}, {}, [(path, "figures") for path in figures], True, time)]


def read_method(folder: Path) -> list[RunRecord]:
    """Read all runs of one method for one country.

    Args:
        folder: ``<results>/<language>/<country>/train/<method>``.

    Returns:
        One record for each task and setting, in the order of the curve file.

    Raises:
        YapoError: A file is not what it should be; the message names it.
    """
    curve = _read_curve(folder)
    if curve is None:
        return []
    country, method = folder.parents[1], folder.name
    params = _read_params(folder / "run.json")
    validation = _read_scores(country / "validation.parquet", method, ["epoch", "multiplier", "score", "parse_failure_rate"])
    test = _read_scores(country / "evaluation.parquet", method, ["epoch", "multiplier", "score", "parsed"])

    records = []
    for (task, setting), rows in curve.runs.items():
        name = f"{country.name}/{method}/{task}/{setting}"
        tags = {"language": country.parent.name, "country": country.name, "method": method, "task": task, "setting": setting}
        # The later of two rows for one step counts, as after a resumed training.
        metrics = {(series, row.step): value for row in rows for series, value in row.values.items()}
        metrics |= _validation_metrics(
            _select(validation, task, setting), {row.epoch: row.step for row in rows if row.ends_epoch}
        )
        metrics |= _test_metrics(_select(test, task, setting))
        vectors = [(folder, "all_epochs"), (country / "vectors" / method, "chosen")]
        artifacts = [(place / f"{task}-{setting}.safetensors", label) for place, label in vectors]
        artifacts = [(path, label) for path, label in artifacts if path.exists()]
        records.append(RunRecord(name, tags, metrics, params, artifacts, curve.complete, curve.time))
    return records


def _read_curve(folder: Path) -> _Curve | None:
    """Read the curve of a method, finished or not."""
    # A partial file beside a finished one belongs to a later training. It may be renamed while this looks.
    for path in (folder / _PARTIAL, folder / _CURVES):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            content, time = file.read(), os.fstat(file.fileno()).st_mtime_ns // 1_000_000
            if path.name == _PARTIAL:
                content = content[: content.rfind(b"\n") + 1]  # the last line may still be in the writing
            runs: dict[tuple[str, str], list[_Row]] = {}
            for number, line in enumerate(content.splitlines(), start=1):
                row = _parse(f"{path}, line {number}", line)
                runs.setdefault((row.task, row.setting), []).append(row)
            return _Curve(runs, path.name == _CURVES, time)
    return None


def _parse(place: str, line: bytes) -> _Row:
    try:
        row = json.loads(line)
        values = {name: _storable(float(row[name])) for name in SERIES if row.get(name) is not None}
        step = int(row.get("step", 0))  # a closed-form method takes no step
        return _Row(row["task"], row["setting"], row["kind"] == "epoch", int(row["epoch"]), step, values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise YapoError(f"{place}: not a row of a training curve ({error!r}); delete the file and train again") from None


def _storable(value: float) -> float:
    """Say as MLflow does that a value is infinite, by the largest number; its database has no infinity, though it has NaN."""
    return value if math.isnan(value) else max(-sys.float_info.max, min(sys.float_info.max, value))


def _read_params(path: Path) -> dict[str, str]:
    """Flatten the configuration of a training (its ``run.json``), which appears at the end of a training or before."""
    if not path.exists():
        return {}
    run = files.read_json(path)
    try:
        return dict(_flatten({**run["config"], "seed": run["seed"], "data_hash": run["data_hash"]}))
    except (KeyError, TypeError) as error:
        raise YapoError(f"{path}: not the record of a training ({error!r}); delete it and train again") from None


def _flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", (value if isinstance(value, str) else json.dumps(value))[:500]


def _read_scores(path: Path, method: str, columns: list[str]) -> pd.DataFrame:
    """Read the rows of one method from a table of scores; no rows where there is no table yet."""
    columns = ["task", "setting", *columns]
    if not path.exists():
        return pd.DataFrame(columns=columns)
    try:
        return pd.read_parquet(path, columns=columns, filters=[("method", "==", method)])
    except (OSError, ValueError, KeyError) as error:
        raise YapoError(f"{path}: not a table of scores ({error}); delete it and run its stage again") from None


def _select(frame: pd.DataFrame, task: str, setting: str) -> pd.DataFrame:
    return frame[(frame["task"] == task) & (frame["setting"] == setting)]


def _validation_metrics(rows: pd.DataFrame, epoch_ends: dict[int, int]) -> dict[Point, float]:
    """Scores of every epoch at multiplier 1, placed at the training step that ended the epoch, beside the loss."""
    metrics: dict[Point, float] = {}
    columns = ["epoch", "score", "parse_failure_rate"]
    for epoch, score, failures in rows.loc[rows["multiplier"] == 1, columns].itertuples(index=False):
        step = epoch_ends.get(epoch, 0)
        metrics["validation_score", step] = float(score)
        metrics["validation_parse_failure", step] = float(failures)
    return metrics


def _test_metrics(rows: pd.DataFrame) -> dict[Point, float]:
    """Means over the test items that were scored, and the epoch and multiplier they were reached with."""
    if rows.empty:
        return {}
    metrics = {
        ("test_parse_failure", 0): 1 - float(rows["parsed"].mean()),
        ("chosen_epoch", 0): float(rows["epoch"].iloc[0]),
        ("chosen_multiplier", 0): float(rows["multiplier"].iloc[0]),
    }
    if rows["score"].notna().any():
        metrics["test_score", 0] = float(rows["score"].mean())
    return metrics
