"""The MLflow view: complete, idempotent, live, and never in the way of the study."""

import json
import logging
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, ViewType
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache
from safetensors.numpy import save_file

from tests.refusals import refused
from tests.tracking.study_files import (
    curve,
    hashes,
    rows_in,
    run_ingest,
    runs,
    series,
    step_row,
    tracker,
    view,
    write_curve,
    write_scores,
)
from yapo.errors import YapoError
from yapo.reporting.style import colour
from yapo.tracking import Database, Tracker
from yapo.tracking.sources import method_folders
from yapo.tracking.views import condition, views

WRITER = """
import json, os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
folder.mkdir(parents=True)
partial = folder / "curves.jsonl.partial"
with partial.open("w") as file:
    for step in range(1, 41):
        line = json.dumps({"kind": "step", "task": "mcq", "setting": "both", "step": step, "epoch": 1, "loss": 1 / step})
        file.write(line[:20])
        file.flush()
        time.sleep(0.02)
        file.write(line[20:] + "\\n")
partial.rename(folder / "curves.jsonl")
"""


def test_a_study_is_shown_whole_and_only_once(results: Path, yapo: Path) -> None:
    country = results / "arabic" / "egypt"
    write_scores(country, ["yapo", "caa", "prompt"])
    (country / "vectors" / "yapo").mkdir(parents=True)
    save_file({"v": np.ones((2, 4), np.float32)}, yapo / "mcq-both.safetensors")
    save_file({"v": np.ones(4, np.float32)}, country / "vectors" / "yapo" / "mcq-both.safetensors")
    (results / "figures").mkdir()
    (results / "figures" / "rca.svg").write_text("<svg/>")

    assert run_ingest(results) == {"created": 4}
    shown = runs(results)
    assert shown.keys() == {"egypt/yapo/mcq/both", "egypt/yapo/open_ended/localized", "egypt/caa/mcq/both", "study"}

    run = shown["egypt/yapo/mcq/both"]
    expected = {"country": "egypt", "language": "arabic", "method": "yapo", "task": "mcq", "setting": "both"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.tags["yapo.complete"] == "true"
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "lr": "0.001",
        "objective.beta": "0.1",
        "layers": "[1, 2]",
        "seed": "3",
        "data_hash": "ab12",
    }
    assert series(results, run, "loss") == [(step, 1 / step) for step in range(1, 7)]
    assert series(results, run, "displacement") == [(step, float(step)) for step in range(1, 7)]
    means = [sum(1 / step for step in range(1, last + 1)) / last for last in range(1, 7)]
    assert [value for _, value in series(results, run, "loss_mean")] == pytest.approx(means)
    assert series(results, run, "loss_forward") == [(step, 1 / step) for step in (1, 3, 5)]
    assert series(results, run, "loss_reversed") == [(step, 1 / step) for step in (2, 4, 6)]
    assert run.data.tags["mlflow.runColor"] == colour("yapo") != shown["egypt/caa/mcq/both"].data.tags["mlflow.runColor"]
    assert series(results, run, "validation_loss") == [(3, 0.9), (6, 0.45)]
    assert series(results, run, "validation_score") == [(3, 0.2), (6, 0.6)]  # multiplier 1, at the end of each epoch
    assert series(results, run, "validation_parse_failure") == [(3, 0.25), (6, 0.25)]
    final = {"test_score": 1 / 3, "test_parse_failure": 0.25, "chosen_multiplier": 4.0, "chosen_epoch": 2.0}
    assert final.items() <= run.data.metrics.items()
    assert not any(name.startswith("test") for name in shown["egypt/yapo/open_ended/localized"].data.metrics)
    closed_form = shown["egypt/caa/mcq/both"].data.metrics
    assert {"norm": 2.0, "l0": 64.0, "test_score": 1 / 3}.items() <= closed_form.items()
    assert closed_form.keys() <= run.data.metrics.keys()  # the same names, so that the methods overlay

    assert str(run.info.artifact_uri).startswith((results / "mlartifacts").as_uri())
    client, _ = view(results)
    for folder, original in (("all_epochs", yapo), ("chosen", country / "vectors" / "yapo")):
        copy = Path(client.download_artifacts(run.info.run_id, f"{folder}/mcq-both.safetensors"))
        assert copy.read_bytes() == (original / "mcq-both.safetensors").read_bytes()
    assert [file.path for file in client.list_artifacts(shown["study"].info.run_id, "figures")] == ["figures/rca.svg"]
    assert shown["study"].info.start_time <= min(run.info.start_time for run in shown.values())

    before = {table: rows_in(results, table) for table in ("runs", "metrics", "params", "tags")}
    assert run_ingest(results) == {"unchanged": 4}
    assert {table: rows_in(results, table) for table in before} == before


def test_a_growing_curve_is_extended_and_then_finished(results: Path, yapo: Path) -> None:
    (yapo / "curves.jsonl").unlink()
    rows = [step_row(1, math.inf), step_row(2, math.nan)]
    write_curve(yapo, rows, complete=False)
    with (yapo / "curves.jsonl.partial").open("a") as file:
        file.write('{"kind": "step", "task": "mcq", "setting": "both", "step": 3, "epoch": 1, "loss": 0.2')  # not the whole line
    follower = tracker(results)
    assert follower.ingest().runs == {"created": 2}
    first = runs(results)["egypt/yapo/mcq/both"]
    assert [step for step, _ in series(results, first, "loss")] == [1, 2]
    assert first.info.status == "RUNNING"
    assert first.data.tags["yapo.complete"] == "false"
    assert follower.ingest().runs == {}  # nothing was touched meanwhile

    with (yapo / "curves.jsonl.partial").open("a") as file:
        file.write("5}\n" + json.dumps(step_row(4, 0.1)) + "\n")
    assert follower.ingest().runs == {"extended": 1}
    os.rename(yapo / "curves.jsonl.partial", yapo / "curves.jsonl")
    assert follower.ingest().runs == {"extended": 1}

    last = runs(results, ViewType.ALL)["egypt/yapo/mcq/both"]
    assert last.info.run_id == first.info.run_id
    assert last.info.status == "FINISHED"
    assert last.data.tags["yapo.complete"] == "true"
    losses = series(results, last, "loss")
    assert [step for step, _ in losses] == [1, 2, 3, 4]
    assert losses[0][1] == sys.float_info.max
    assert math.isnan(losses[1][1])
    assert [loss for _, loss in losses[2:]] == [0.25, 0.1]


def test_scores_that_come_later_are_added(results: Path) -> None:
    run_ingest(results)
    before = runs(results)["egypt/yapo/mcq/both"]
    write_scores(results / "arabic" / "egypt", ["yapo"])
    assert run_ingest(results) == {"extended": 1, "unchanged": 2}
    after = runs(results)["egypt/yapo/mcq/both"]
    assert after.info.run_id == before.info.run_id
    assert after.data.metrics["test_score"] == pytest.approx(1 / 3)
    assert len(series(results, after, "loss")) == 6


@pytest.mark.parametrize("change", ["value", "shorter", "config"])
def test_a_curve_that_changed_is_written_anew(results: Path, yapo: Path, change: str) -> None:
    run_ingest(results)
    before = runs(results)["egypt/yapo/mcq/both"]
    rows = curve()
    if change == "value":
        rows[0]["loss"] = 0.125
    elif change == "shorter":
        rows = rows[:3]
    write_curve(yapo, rows + curve(task="open_ended", setting="localized"))
    if change == "config":
        record = json.loads((yapo / "run.json").read_text())
        record["config"]["lr"] = 0.5
        (yapo / "run.json").write_text(json.dumps(record))
    assert run_ingest(results)["rewritten"] == (2 if change == "config" else 1)
    after = runs(results)["egypt/yapo/mcq/both"]
    assert after.info.run_id != before.info.run_id
    expected = [(row["step"], row["loss"]) for row in rows if row["kind"] == "step"]
    assert series(results, after, "loss") == expected
    assert after.data.params["lr"] == ("0.5" if change == "config" else "0.001")


def test_a_half_written_run_is_completed(results: Path) -> None:
    run_ingest(results)
    client, experiment = view(results)
    whole = runs(results)["egypt/yapo/mcq/both"]
    client.delete_run(whole.info.run_id)
    tags = {key: value for key, value in whole.data.tags.items() if key not in ("yapo.digest", "yapo.complete")}
    half = client.create_run(experiment, tags=tags, run_name=whole.info.run_name)
    client.log_batch(half.info.run_id, metrics=[Metric("loss", 1 / step, 5, step) for step in (1, 2)])

    assert run_ingest(results) == {"extended": 1, "unchanged": 2}
    completed = runs(results)["egypt/yapo/mcq/both"]
    assert completed.info.run_id == half.info.run_id
    assert completed.data.metrics == whole.data.metrics
    assert completed.data.params == whole.data.params
    assert series(results, completed, "loss") == series(results, whole, "loss")
    assert run_ingest(results) == {"unchanged": 3}


def test_nothing_is_lost_while_eight_jobs_write(results: Path) -> None:
    folders = [results / "arabic" / f"country{number}" / "train" / "bipo" for number in range(8)]
    jobs = [subprocess.Popen([sys.executable, "-c", WRITER, str(folder)]) for folder in folders]
    follower = tracker(results)
    done: Counter[str] = Counter()
    while any(job.poll() is None for job in jobs):
        report = follower.ingest()
        assert report.problems == []
        done += report.runs
    done += follower.ingest().runs
    assert [job.returncode for job in jobs] == [0] * 8
    assert done["created"] == 8 + 3
    assert done["rewritten"] == 0
    shown = runs(results, ViewType.ALL)
    for number in range(8):
        run = shown[f"country{number}/bipo/mcq/both"]
        assert run.info.status == "FINISHED"
        assert series(results, run, "loss") == [(step, 1 / step) for step in range(1, 41)]


def test_a_locked_database_is_a_warning(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = hashes(results)
    holder = sqlite3.connect(results / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    follower = tracker(results, wait=0.1)
    assert follower.ingest_or_warn() is None
    assert follower.ingest_or_warn() is None
    (record,) = caplog.records  # said once
    assert record.levelno == logging.WARNING
    assert str(results / "mlflow.db") in record.getMessage()
    assert "locked by another program" in record.getMessage()
    assert hashes(results) == before
    holder.close()
    report = follower.ingest_or_warn()
    assert report is not None
    assert report.runs == {"created": 3}


def test_a_second_ingest_keeps_away_from_the_first(results: Path) -> None:
    with (
        FileLock(results / "mlflow.db.lock"),
        pytest.raises(YapoError, match=r"mlflow\.db: another ingest has kept it for 0\.1 s"),
    ):
        tracker(results, wait=0.1).ingest()


def test_a_database_that_is_none_is_a_warning(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = hashes(results)
    (results / "mlflow.db").write_text("not a database, " * 500)
    assert tracker(results).ingest_or_warn() is None
    (record,) = caplog.records
    assert "delete it, the next ingest makes it anew" in record.getMessage()
    assert hashes(results) == before
    assert (results / "mlflow.db").read_text().startswith("not a database")


@pytest.mark.parametrize("place", ["database", "artifacts", "results"])
def test_a_folder_that_cannot_be_used_is_a_warning(results: Path, place: str, caplog: pytest.LogCaptureFixture) -> None:
    (results / "arabic" / "egypt" / "train" / "yapo" / "mcq-both.safetensors").write_bytes(b"vector")
    (results / "file").write_text("")
    places = {"results": results, "database": results / "mlflow.db", "artifacts": results / "mlartifacts"}
    places[place] = results / "file" / "below"
    follower = Tracker(places["results"], Database(places["database"], places["artifacts"]), "study")
    assert follower.ingest_or_warn() is None
    (record,) = caplog.records
    assert str(results / "file") in record.getMessage()


def test_an_experiment_that_was_deleted_and_a_lock_that_is_none_are_refused(results: Path) -> None:
    run_ingest(results)
    client, experiment = view(results)
    client.delete_experiment(experiment)
    refused(tracker(results).ingest, f"{results / 'mlflow.db'}: does not work (", "delete it and mlartifacts beside it")
    (results / "mlflow.db.lock").unlink()
    (results / "mlflow.db.lock").mkdir()
    refused(tracker(results).ingest, f"{results / 'mlflow.db.lock'}: cannot be locked (Is a directory)")


@pytest.mark.parametrize("name", ["mlflow.db", "mlartifacts"])
@pytest.mark.parametrize("target", ["nowhere/x.db", "study", "{name}"], ids=["no folder", "below a file", "itself"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / name
    path.symlink_to(tmp_path / target.format(name=name).replace("study", "file/x.db"))
    before = sorted(tmp_path.iterdir())
    refused(lambda: Database(tmp_path / "mlflow.db", tmp_path / "mlartifacts"), str(path), "delete the link")
    assert sorted(tmp_path.iterdir()) == before


def test_a_bad_line_is_named_and_the_rest_shown(results: Path, yapo: Path, caplog: pytest.LogCaptureFixture) -> None:
    (yapo / "curves.jsonl").write_text(json.dumps(step_row(1, 0.5)) + "\nnonsense\n" + json.dumps(step_row(2, 0.25)) + "\n")
    follower = tracker(results)
    for _ in range(2):  # said once, and tried again by every pass
        report = follower.ingest_or_warn()
        assert report is not None
        assert len(report.problems) == 1
    assert runs(results).keys() == {"egypt/caa/mcq/both", "egypt/yapo/mcq/both"}
    assert series(results, runs(results)["egypt/yapo/mcq/both"], "loss") == [(1, 0.5), (2, 0.25)]
    (record,) = caplog.records
    assert f"{yapo / 'curves.jsonl'}, line 2" in record.getMessage()


def test_the_pages_open_with_a_view(results: Path) -> None:
    run_ingest(results)
    client, experiment = view(results)
    follower = tracker(results)
    follower.ingest()
    assert method_folders(results)
    assert condition(follower.example) == "tags.country = 'egypt' and tags.task = 'mcq' and tags.setting = 'both'"
    wanted = views(follower.example)
    assert len(wanted) == 2
    assert wanted.items() <= client.get_experiment(experiment).tags.items()


def test_a_database_that_was_deleted_and_made_anew_is_filled_again(results: Path, empty_database: Path) -> None:
    follower = tracker(results)
    assert follower.ingest().runs == {"created": 3}
    (results / "mlflow.db").unlink()
    shutil.copy(empty_database, results / "mlflow.db")
    assert follower.ingest().runs == {"created": 3}
    assert len(runs(results)) == 3


@pytest.mark.parametrize("whole", [True, False], ids=["with its artifacts", "without them"])
def test_a_copied_study_takes_its_view_along(results: Path, yapo: Path, tmp_path: Path, whole: bool) -> None:
    (yapo / "mcq-both.safetensors").write_bytes(b"vector")
    run_ingest(results)
    before = runs(results)["egypt/yapo/mcq/both"]
    copy = tmp_path / "a copy"
    shutil.copytree(results, copy, ignore=None if whole else shutil.ignore_patterns("mlartifacts"))
    kept = (results / "mlflow.db").read_bytes()
    _artifact_repos_cache.clear()  # of this process: whoever copies a study ingests in another
    assert run_ingest(copy) == ({"unchanged": 1, "extended": 2} if whole else {"extended": 3})  # two never had artifacts
    client, experiment = view(copy)
    after = runs(copy)["egypt/yapo/mcq/both"]
    assert after.info.run_id == before.info.run_id
    assert str(after.info.artifact_uri).startswith((copy / "mlartifacts").as_uri())
    assert client.get_experiment(experiment).tags["yapo.results"] == str(copy)
    assert Path(client.download_artifacts(after.info.run_id, "all_epochs/mcq-both.safetensors")).read_bytes() == b"vector"
    assert (results / "mlflow.db").read_bytes() == kept
    assert run_ingest(copy) == {"unchanged": 3}


def test_an_experiment_that_another_program_made_is_left_alone(results: Path) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow.db'}")
    client.create_experiment(results.name, artifact_location=(results / "theirs").as_uri())
    with pytest.raises(YapoError, match="delete the database and the next ingest makes it anew"):
        tracker(results).ingest()
