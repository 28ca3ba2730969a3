"""Curves, scores and figures of a study, read from its files. Nothing here knows MLflow."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yapo import files
from yapo.checks import Setting, Task
from yapo.data.text import broken, shown
from yapo.errors import YapoError

#: Series taken from the rows of a curve, under the same names for every method so that the methods overlay in one chart.
SERIES = ("loss", "margin", "lr", "norm", "displacement", "l0", "validation_loss")
#: Series that jump with the drawn direction d = 1 or -1; a mean over the last ``WINDOW`` steps is shown beside them.
JUMPING = ("loss", "margin")
WINDOW = 25
#: The loss of each direction, a series of its own: at d = 1 and at d = -1.
BY_DIRECTION = {1.0: "loss_forward", -1.0: "loss_reversed"}
_CURVES, _PARTIAL = "curves.jsonl", "curves.jsonl.partial"
_PARAM = re.compile(r"(?=.{1,250}$)[\w-]+(\.[\w-]+)*", re.ASCII)  # a name that MLflow takes
_LARGEST_STEP = 2**53  # beyond it a step is no whole number for the page that shows it

Point = tuple[str, int]  # the name of a metric and the training step it belongs to
FileState = tuple[tuple[str, int, int], ...]  # path, time of the last change in nanoseconds, size in bytes


@dataclass
class RunRecord:
    """Contents of one MLflow run.

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


class _Row(BaseModel):
    """One line of a curve file. A closed-form method takes no step."""

    model_config = ConfigDict(strict=True, frozen=True)

    task: Task
    setting: Setting
    kind: Literal["step", "epoch"]
    epoch: Annotated[int, Field(ge=0, le=_LARGEST_STEP)]
    step: Annotated[int, Field(ge=0, le=_LARGEST_STEP)] = 0
    d: float | None = None
    loss: float | None = None
    margin: float | None = None
    lr: float | None = None
    norm: float | None = None
    displacement: float | None = None
    l0: float | None = None
    validation_loss: float | None = None

    def values(self) -> dict[str, float]:
        """Return the value of each series that the row has."""
        return {name: _storable(value) for name in SERIES if (value := getattr(self, name)) is not None}


class _Curve(NamedTuple):
    """The rows of one task and setting, whether their training has ended, and when its file last changed, in milliseconds."""

    rows: list[_Row]
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


def read_figures(results: Path) -> tuple[list[RunRecord], list[str]]:
    """Gather the figures of a study in one run named ``study``; no run where there are none."""
    figures = _figures(results)
    if not figures:
        return [], []
    # Dated before all others, for the UI draws the newest runs only, and this one has no curve.
    time = min(changed for _, changed, _ in _state([*figures, *_curves(results)])) // 1_000_000
    return [RunRecord("study", {}, {}, {}, [(path, "figures") for path in figures], True, time)], []


def read_method(folder: Path) -> tuple[list[RunRecord], list[str]]:
    """Read all runs of one method for one country.

    Args:
        folder: ``<results>/<language>/<country>/train/<method>``.

    Returns:
        One record for each task and setting, in the order of the curve file; and one sentence for each file that could not be
        read, or not whole. What can be read is in the records all the same.
    """
    problems: list[str] = []
    country, method = folder.parents[1], folder.name
    curves = _read_curves(folder, problems)
    if not curves:
        return [], problems
    no_params: dict[str, str] = {}
    params = _or_problem(lambda: _read_params(folder / "run.json"), no_params, problems)
    validation = _or_problem(lambda: _read_scores(country / "validation.parquet", method, _VALIDATION), _NONE, problems)
    test = _or_problem(lambda: _read_scores(country / "evaluation.parquet", method, _TEST), _NONE, problems)
    records = []
    for (task, setting), curve in curves.items():
        name = f"{country.name}/{method}/{task}/{setting}"
        tags = {"language": country.parent.name, "country": country.name, "method": method, "task": task, "setting": setting}
        metrics = _curve_metrics(curve.rows)
        ends = {row.epoch: row.step for row in curve.rows if row.kind == "epoch"}
        metrics |= _validation_metrics(_select(validation, task, setting), ends)
        metrics |= _test_metrics(_select(test, task, setting))
        vectors = [(folder, "all_epochs"), (country / "vectors" / method, "chosen")]
        artifacts = [(place / f"{task}-{setting}.safetensors", label) for place, label in vectors]
        artifacts = [(path, label) for path, label in artifacts if path.exists()]
        records.append(RunRecord(name, tags, metrics, params, artifacts, curve.complete, curve.time))
    return records, problems


_Read = TypeVar("_Read")


def _or_problem(read: Callable[[], _Read], otherwise: _Read, problems: list[str]) -> _Read:
    """Read a file beside the curve; where that fails, keep the sentence that says why and go on without the file."""
    try:
        return read()
    except (YapoError, OSError) as error:
        problems.append(str(error))
        return otherwise


def _read_curves(folder: Path, problems: list[str]) -> dict[tuple[Task, Setting], _Curve]:
    """Read the curves of a method by task and setting, from the training that has ended and from one that has begun since."""
    found: dict[tuple[Task, Setting], _Curve] = {}
    ended = -1
    for path in (folder / _CURVES, folder / _PARTIAL):
        try:
            with path.open("rb") as file:
                content, changed = file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror}); make it readable or train again")
            continue
        complete = path.name == _CURVES
        if complete:
            ended = changed
        elif changed < ended:
            continue  # left behind by a training before the one that has ended
        else:
            content = content[: content.rfind(b"\n") + 1]  # the last line may still be in the writing
        if complete and not content.strip():
            problems.append(f"{path}: has no rows; delete it and train again")
        for place, rows in _parse_all(path, content, problems).items():
            found[place] = _Curve(rows, complete, changed // 1_000_000)
    return found


def _parse_all(path: Path, content: bytes, problems: list[str]) -> dict[tuple[Task, Setting], list[_Row]]:
    """Read the rows of a curve file; name the first line that is none, and say how many more there are."""
    runs: dict[tuple[Task, Setting], list[_Row]] = {}
    bad: list[str] = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            row = _Row.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            reason = ": ".join([*map(str, first["loc"]), first["msg"]])
            bad.append(f"{path}, line {number}: not a row of a training curve ({reason})")
            continue
        runs.setdefault((row.task, row.setting), []).append(row)
    if bad:
        more = f", and {len(bad) - 1} more such" if len(bad) > 1 else ""
        problems.append(f"{bad[0]}{more}; the other rows are shown; delete the file and train again")
    return runs


def _curve_metrics(rows: list[_Row]) -> dict[Point, float]:
    """Return values by series and step, with running means and the loss of each direction.

    A running mean looks back only, so that what is stored of a growing curve stays as it is. The later of two rows for one step
    counts, as after a resumed training.
    """
    metrics = {(series, row.step): value for row in rows for series, value in row.values().items()}
    steps = {row.step: row for row in rows if row.kind == "step"}
    for series in JUMPING:
        last: deque[float] = deque(maxlen=WINDOW)
        for step in sorted(steps):
            value = steps[step].values().get(series)
            if value is not None:
                last.append(value)
                metrics[f"{series}_mean", step] = _storable(sum(part / len(last) for part in last))
    for step, row in steps.items():
        if row.d in BY_DIRECTION and row.loss is not None:
            metrics[BY_DIRECTION[row.d], step] = _storable(row.loss)
    return metrics


def _storable(value: float) -> float:
    """Say as MLflow does that a value is infinite, by the largest number; its database has no infinity, though it has NaN."""
    return value if math.isnan(value) else max(-sys.float_info.max, min(sys.float_info.max, value))


def _read_params(path: Path) -> dict[str, str]:
    """Flatten the configuration of a training (its ``run.json``), which appears at the end of a training or before."""
    if not path.exists():
        return {}
    run = files.read_json(path)
    try:
        params = dict(_flatten({**run["config"], "seed": run["seed"], "data_hash": run["data_hash"]}))
        strange = next((key for key, value in params.items() if not _PARAM.fullmatch(key) or broken(value)), None)
        if strange is not None:
            raise ValueError(f"of no setting: {shown(strange)}={shown(params[strange])}")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise YapoError(f"{path}: not the record of a training ({shown(error)}); delete it and train again") from None
    return params


def _flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", (value if isinstance(value, str) else json.dumps(value))[:500]


_VALIDATION = ["task", "setting", "epoch", "multiplier", "score", "parse_failure_rate"]
_TEST = ["task", "setting", "epoch", "multiplier", "score", "parsed"]
_NONE = pd.DataFrame(columns=[*_VALIDATION, "parsed"])  # stands for a table of scores that is not there or cannot be read


def _read_scores(path: Path, method: str, columns: list[str]) -> pd.DataFrame:
    """Read the rows of one method from a table of scores; no rows where there is no table yet."""
    if not path.exists():
        return _NONE
    import pyarrow.parquet as pq  # here: without its extra, the command says so first

    try:
        if columns is _TEST and "behaviour" in pq.read_schema(path).names:  # scores of both signs, which no one mean tells
            return _NONE
        found = pd.read_parquet(path, columns=columns, filters=[("method", "==", method)])
        return found.astype({name: float for name in columns if name not in ("task", "setting")})
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise YapoError(f"{path}: not a table of scores ({reason}); delete it and run its stage again") from None


def _select(frame: pd.DataFrame, task: Task, setting: Setting) -> pd.DataFrame:
    return frame[(frame["task"] == task) & (frame["setting"] == setting)]


def _validation_metrics(rows: pd.DataFrame, epoch_ends: dict[int, int]) -> dict[Point, float]:
    """Return the scores of every epoch at multiplier 1, at the training step that ended the epoch."""
    metrics: dict[Point, float] = {}
    columns = ["epoch", "score", "parse_failure_rate"]
    for epoch, score, failures in rows.loc[rows["multiplier"] == 1, columns].itertuples(index=False):
        step = epoch_ends.get(epoch, 0)
        metrics["validation_score", step] = float(score)
        metrics["validation_parse_failure", step] = float(failures)
    return metrics


def _test_metrics(rows: pd.DataFrame) -> dict[Point, float]:
    """Return means over the test items that were scored, and the epoch and multiplier they were reached with."""
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
