"""The MLflow view on a server that several machines share."""

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvicorn
from mlflow import MlflowClient
from mlflow.entities import ViewType

from tests.tracking.study_files import curve, hashes, step_row, write_curve
from tests.web_server import in_thread
from yapo.errors import YapoError
from yapo.tracking import Server, Tracker
from yapo.tracking.__main__ import ingest


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    """The address of an MLflow server, which runs in a thread: ``mlflow server`` takes ten seconds to start."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{folder / 'mlflow.db'}")
        environment.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
        environment.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
        environment.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", (folder / "artifacts").as_uri())
        from mlflow.server.fastapi_app import create_fastapi_app

        running = uvicorn.Server(uvicorn.Config(create_fastapi_app(), port=0, log_config=None))
        with in_thread(running):
            yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"


def test_two_ingests_at_once_show_a_study_once(
    results: Path, server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_curve(results / "arabic" / "egypt" / "train" / "bipo", [step_row(step, 1 / step) for step in range(1, 400)])
    vector = results / "arabic" / "egypt" / "train" / "yapo" / "mcq-both.safetensors"
    vector.write_bytes(b"vector")
    (results / "mlflow.db").unlink()
    before = hashes(results)
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(Tracker(results, Server(server, results), "both").ingest) for _ in range(2)]
    assert sorted(map(dict, (done.result().runs for done in both)), key=str) == [{"created": 4}, {"unchanged": 4}]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "both")
    assert ingest(results, follow=None)
    assert capsys.readouterr().out == f"{server}: 4 unchanged\n"
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
