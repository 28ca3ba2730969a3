"""Where the view of a study is kept: in an SQLite file beside it, or on an MLflow server that several machines share."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from yapo import files
from yapo.errors import YapoError

if TYPE_CHECKING:  # importing mlflow takes seconds, so nothing does it before it is needed
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

STUDY_TAG = "yapo.results"
_NO_SERVER = "start it (docs/tracking.md), or unset MLFLOW_TRACKING_URI to use the study's own database"


class Place(Protocol):
    """What an ingest needs to know of the place that it writes to."""

    @property
    def uri(self) -> str:
        """The place as MLflow names it."""

    @property
    def name(self) -> str:
        """The place as messages name it."""

    @property
    def lock(self) -> Path:
        """The file whose lock keeps two ingests of one study apart."""

    @property
    def artifact_location(self) -> str | None:
        """Where a new experiment is to have its artifacts; None where the place itself decides."""

    def open(self, wait: float) -> MlflowClient:
        """Open the place, and make it where there is none.

        Args:
            wait: Seconds to wait until it can be used.

        Raises:
            YapoError: It cannot be used; the message says what to do.
        """

    def check(self, experiment: Experiment, results: Path) -> None:
        """Refuse an experiment that shows another study folder.

        Raises:
            YapoError: It does.
        """


class Database:
    """An SQLite file, with the artifacts in a folder."""

    def __init__(self, path: Path, artifacts: Path) -> None:
        """Name the file and the folder; nothing is opened yet."""
        self.path = path.resolve()
        self.artifacts = artifacts.resolve()
        self.uri = f"sqlite:///{self.path}"
        self.name = str(self.path)
        self.lock = Path(f"{self.path}.lock")
        self.artifact_location: str | None = self.artifacts.as_uri()

    def open(self, wait: float) -> MlflowClient:
        """Open the file; a schema migration that is cut short leaves nothing behind."""
        if self.path.exists():
            self._check_usable(wait)
        else:
            with files.replacing(self.path) as new:
                _client(f"sqlite:///{new}").search_experiments()
        return _client(self.uri)

    def _check_usable(self, wait: float) -> None:
        """Try to begin a write, for errors that say what to do, and without MLflow's long waits and retries."""
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=wait)) as connection:
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise YapoError(f"{self.path}: locked by another program for {wait:g} s; close that program") from None
            raise YapoError(
                f"{self.path}: not a database that can be written ({error}); delete it, the next ingest makes it anew"
            ) from None

    def check(self, experiment: Experiment, results: Path) -> None:
        """Refuse a database whose artifacts lie elsewhere: it has been moved, or belongs to another study."""
        if experiment.artifact_location != self.artifact_location:
            raise YapoError(
                f"{self.path}: has its artifacts in {experiment.artifact_location}, not in {self.artifact_location}, as after "
                f"a move of the study ({results}); delete the database and the next ingest makes it anew"
            )


class Server:
    """An MLflow server, which keeps the artifacts too. Whoever writes to it must see the results folder, where the lock is."""

    def __init__(self, uri: str, results: Path) -> None:
        """Name the server and the study.

        Raises:
            YapoError: The address is not that of a server.
        """
        if "@" in uri:
            raise YapoError("MLFLOW_TRACKING_URI holds a password: use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        if not uri.startswith(("http://", "https://")) or not urlsplit(uri).hostname:
            raise YapoError(f"MLFLOW_TRACKING_URI={uri}: not a server; write http://HOST:PORT, or unset it")
        self.uri = uri.rstrip("/")
        self.name = self.uri
        self.lock = results.resolve() / "mlflow-server.lock"
        self.artifact_location: str | None = None

    def open(self, wait: float) -> MlflowClient:
        """Reach the server, before MLflow's own retries, which take minutes."""
        deadline = time.monotonic() + wait
        while (trouble := self._trouble(wait)) is not None:
            if time.monotonic() >= deadline:
                raise YapoError(f"{self.uri}: no MLflow server answers here ({trouble}); {_NO_SERVER}")
            time.sleep(min(1.0, wait))
        return _client(self.uri)

    def _trouble(self, timeout: float) -> str | None:
        """What the server's health check says, unless all is well."""
        parts = urlsplit(self.uri)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            with contextlib.closing(kind(parts.netloc, timeout=max(timeout, 1.0))) as connection:
                connection.request("GET", f"{parts.path}/health")
                answer = connection.getresponse()
                return None if answer.status == http.HTTPStatus.OK else f"{answer.status} {answer.reason}"
        except (OSError, http.client.HTTPException) as error:
            return str(error) or repr(error)

    def check(self, experiment: Experiment, results: Path) -> None:
        """Refuse an experiment of that name which shows another folder: two studies would rewrite each other's runs."""
        shown = experiment.tags.get(STUDY_TAG)
        if shown != str(results):
            raise YapoError(
                f"{self.uri}: its experiment '{experiment.name}' shows {shown or 'something else'}, not {results}; "
                "set MLFLOW_EXPERIMENT_NAME to a name of your own"
            )


def _client(uri: str) -> MlflowClient:
    """Open a database or server, quietly, and without word to anyone outside."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for every run of a server
    # A pooled connection would go on writing to a database that was deleted meanwhile.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # failures come back as exceptions and are told once
    return MlflowClient(tracking_uri=uri, registry_uri=uri)
