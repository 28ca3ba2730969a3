"""A small study beside an empty database."""

import shutil
from pathlib import Path

import pytest

from tests.tracking.study_files import curve, write_curve
from yapo.tracking import Database


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes to a server that the person who runs the tests has in use."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without experiments, as an ingest makes it; that takes seconds."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    Database(path, path.with_name("mlartifacts")).open(20, path.parent, "study")
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with one trained method and one closed-form method of one country, without a database."""
    study = tmp_path / "a study"
    country = study / "arabic" / "egypt"
    write_curve(country / "train" / "yapo", curve() + curve(task="open_ended", setting="localized"))
    closed_form = {"kind": "epoch", "task": "mcq", "setting": "both", "step": 0, "epoch": 1, "norm": 2.0, "l0": 64}
    write_curve(country / "train" / "caa", [closed_form])
    return study


@pytest.fixture
def results(study: Path, empty_database: Path) -> Path:
    """The same study beside an empty database."""
    shutil.copy(empty_database, study / "mlflow.db")
    return study


@pytest.fixture
def yapo(study: Path) -> Path:
    return study / "arabic" / "egypt" / "train" / "yapo"
