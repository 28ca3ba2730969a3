"""The files of a small study as its stages write them, and what MLflow shows of it."""

import hashlib
import json
import math
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from yapo.tracking import Database, Tracker

STEPS_PER_EPOCH = 3


def step_row(step: int, loss: float, task: str = "mcq", setting: str = "both") -> dict[str, Any]:
    """One training step as a trainer writes it."""
    place = {"kind": "step", "task": task, "setting": setting, "step": step, "epoch": 1 + (step - 1) // STEPS_PER_EPOCH}
    return {
        **place,
        "loss": loss,
        "d": 1 if step % 2 else -1,
        "margin": 0.7 - loss,
        "lr": 0.001,
        "norm": 0.1 * step,
        "displacement": step,
        "l0": 9,
    }


def curve(epochs: int = 2, task: str = "mcq", setting: str = "both") -> list[dict[str, Any]]:
    """Rows of a trained method."""
    rows = []
    for epoch in range(1, epochs + 1):
        end = epoch * STEPS_PER_EPOCH
        rows += [step_row(step, 1 / step, task, setting) for step in range(end - STEPS_PER_EPOCH + 1, end + 1)]
        place = {"kind": "epoch", "task": task, "setting": setting, "step": end, "epoch": epoch}
        rows.append({**place, "validation_loss": 0.9 / epoch})
    return rows


def write_curve(folder: Path, rows: list[dict[str, Any]], complete: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / ("curves.jsonl" if complete else "curves.jsonl.partial")).write_text(text)
    config = {"lr": 0.001, "objective": {"beta": 0.1}, "layers": [1, 2], "cap": None}
    record = {"method": folder.name, "seed": 3, "config": config, "versions": {"torch": "2"}, "data_hash": "ab12"}
    (folder / "run.json").write_text(json.dumps(record))


def write_scores(country: Path, methods: list[str], test_score: float = 1.0) -> None:
    keys = {"language": "Arabic", "country": "egypt", "task": "mcq", "setting": "both"}
    grid = [(1, 1.0, 0.2), (2, 1.0, 0.6), (2, 4.0, 0.9), (2, 0.0, 0.1)]
    rows = [
        {**keys, "method": method, "epoch": epoch, "multiplier": multiplier, "score": score, "parse_failure_rate": 0.25}
        for method in methods
        for epoch, multiplier, score in grid
    ]
    pd.DataFrame(rows).to_parquet(country / "validation.parquet")
    scores = [(test_score, True), (0.0, True), (math.nan, False), (0.0, True)]
    rows = [
        {**keys, "method": method, "epoch": 2, "multiplier": 4.0, "score": score, "parsed": parsed}
        for method in methods
        for score, parsed in scores
    ]
    pd.DataFrame(rows).to_parquet(country / "evaluation.parquet")


def tracker(results: Path, wait: float = 20.0) -> Tracker:
    return Tracker(results, Database(results / "mlflow.db", results / "mlartifacts"), results.name, wait, turn=wait)


def run_ingest(results: Path) -> Counter[str]:
    report = tracker(results).ingest()
    assert report.problems == []
    return report.runs


def view(results: Path) -> tuple[MlflowClient, str]:
    client = MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(results.name)
    assert experiment is not None
    return client, experiment.experiment_id


def runs(results: Path, kind: int = ViewType.ACTIVE_ONLY) -> dict[str, Run]:
    client, experiment = view(results)
    found = client.search_runs([experiment], run_view_type=kind)
    assert len({run.info.run_name for run in found}) == len(found)
    return {str(run.info.run_name): run for run in found}


def series(results: Path, run: Run, metric: str) -> list[tuple[int, float]]:
    client, _ = view(results)
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric))


def rows_in(results: Path, table: str) -> int:
    connection = sqlite3.connect(results / "mlflow.db")
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(count)


def hashes(results: Path) -> dict[str, str]:
    """Content of the files of the study proper."""
    own = [path for path in results.rglob("*") if path.is_file() and not path.name.startswith("mlflow")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in own}
