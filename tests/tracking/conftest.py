"""A small study beside an empty database."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.tracking.study_files import curve, write_curve


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes to a server that the person who runs the tests has in use."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without experiments; making one takes seconds."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def results(tmp_path: Path, empty_database: Path) -> Path:
    """A study with one trained method and one closed-form method of one country."""
    study = tmp_path / "a study"
    country = study / "arabic" / "egypt"
    write_curve(country / "train" / "yapo", curve() + curve(task="open_ended", setting="localized"))
    closed_form = {"kind": "epoch", "task": "mcq", "setting": "both", "step": 0, "epoch": 1, "norm": 2.0, "l0": 64}
    write_curve(country / "train" / "caa", [closed_form])
    shutil.copy(empty_database, study / "mlflow.db")
    return study


@pytest.fixture
def yapo(results: Path) -> Path:
    return results / "arabic" / "egypt" / "train" / "yapo"
