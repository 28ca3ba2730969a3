"""The MLflow view on a server that several machines share."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from tests.tracking.study_files import curve, hashes, step_row, write_curve
from yapo.errors import YapoError
from yapo.tracking import Server, Tracker

ROOT = Path(__file__).resolve().parents[2]


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    """``mlflow server`` on this machine, as docs/tracking.md starts it; its address."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--serve-artifacts", "--artifacts-destination", (folder / "artifacts").as_uri(), "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | quiet, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 180
        while not answers(port):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def test_two_ingests_at_once_show_a_study_once(results: Path, server: str) -> None:
    write_curve(results / "arabic" / "egypt" / "train" / "bipo", [step_row(step, 1 / step) for step in range(1, 400)])
    vector = results / "arabic" / "egypt" / "train" / "yapo" / "mcq-both.safetensors"
    vector.write_bytes(b"vector")
    (results / "mlflow.db").unlink()
    before = hashes(results)
    command = [sys.executable, "-m", "yapo.tracking", "ingest", "--results", str(results)]
    environment = os.environ | {"MLFLOW_TRACKING_URI": server, "MLFLOW_EXPERIMENT_NAME": "both"}
    both = [
        subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert sorted(words for words, _ in said) == [f"{server}: 4 created\n", f"{server}: 4 unchanged\n"]
    assert [process.returncode for process in both] == [0, 0]
    assert hashes(results) == before
    assert not (results / "mlflow.db").exists()

    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("both")
    assert experiment is not None
    runs = {str(run.info.run_name): run for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)}
    assert len(runs) == 4
    long = client.get_metric_history(runs["egypt/bipo/mcq/both"].info.run_id, "loss")
    assert sorted((point.step, point.value) for point in long) == [(step, 1 / step) for step in range(1, 400)]
    copy = client.download_artifacts(runs["egypt/yapo/mcq/both"].info.run_id, f"all_epochs/{vector.name}")
    assert Path(copy).read_bytes() == b"vector"


def test_a_curve_grows_on_the_server(results: Path, server: str) -> None:
    follower = Tracker(results, Server(server, results), "grows")
    assert follower.ingest().runs == {"created": 3}
    write_curve(results / "arabic" / "egypt" / "train" / "yapo", curve(epochs=3) + curve(task="open_ended", setting="localized"))
    assert follower.ingest().runs == {"extended": 1, "unchanged": 1}
    assert Tracker(results, Server(server, results), "grows").ingest().runs == {"unchanged": 3}


def test_two_studies_do_not_share_an_experiment(results: Path, server: str, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / results.name
    shutil.copytree(results, other)
    Tracker(results, Server(server, results), "taken").ingest()
    with pytest.raises(YapoError, match="set MLFLOW_EXPERIMENT_NAME"):
        Tracker(other, Server(server, other), "taken").ingest()


def test_a_server_that_does_not_answer_is_a_warning(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert Tracker(results, Server(uri, results), "study", wait=0.1).ingest_or_warn() is None
    (record,) = caplog.records
    assert f"{uri}: no MLflow server answers here" in record.getMessage()


@pytest.mark.parametrize("uri", ["sqlite:///runs.db", "mlruns", "http://", "https://me:secret@host:5000"])
def test_an_address_that_is_no_server_is_named(results: Path, uri: str) -> None:
    with pytest.raises(YapoError, match="MLFLOW_TRACKING_URI") as caught:
        Server(uri, results)
    assert "secret" not in str(caught.value)
