"""Places for the view of a study: an SQLite file beside it, or an MLflow server that several machines share."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import sqlite3
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from yapo import files
from yapo.checks import host_of
from yapo.errors import YapoError

if TYPE_CHECKING:  # importing mlflow takes seconds, so nothing does it before it is needed
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

STUDY_TAG, DIGEST_TAG = "yapo.results", "yapo.digest"
_BUSY_SECONDS = 60.0  # that each write waits for another program to let go of a database
_NO_SERVER = "start it (docs/tracking.md), or unset MLFLOW_TRACKING_URI to use the study's own database"


class Database:
    """An SQLite file, with the artifacts in a folder.

    Attributes:
        uri: the place as MLflow names it.
        name: the place as messages name it.
        lock: the file whose lock keeps two ingests of one study apart.
        artifact_location: where a new experiment has its artifacts; None where the place itself decides.
        remedy: what to do about one that does not work.
    """

    remedy = "delete it and mlartifacts beside it, the next ingest makes both anew"

    def __init__(self, path: Path, artifacts: Path) -> None:
        """Name the file and the folder; nothing is opened yet.

        Raises:
            YapoError: the path holds a question mark, or is a link into a folder that does not exist.
        """
        self.path, self.artifacts = (_target(place) for place in (path, artifacts))
        if "?" in str(self.path):
            raise YapoError(f"{self.path}: the address of a database cannot hold a question mark; rename the folder")
        self.uri = f"sqlite:///{self.path}?timeout={_BUSY_SECONDS:g}"
        self.name = str(self.path)
        self.lock = Path(f"{self.path}.lock")
        self.artifact_location: str | None = self.artifacts.as_uri()

    def open(self, wait: float, results: Path, experiment: str) -> MlflowClient:
        """Open the file, and make it where there is none; a schema migration that is cut short leaves nothing behind.

        Args:
            wait: seconds to wait for another program to let go of it.
            results: folder of the study. A database that came along with a moved or copied folder is made to point into it.
            experiment: name of the MLflow experiment that shows it.

        Raises:
            YapoError: it cannot be used; the message says what to do.
        """
        _commit_without_waiting_for_the_disk()
        if self.path.exists():
            self._settle(wait, results, experiment)
        else:
            with files.replacing(self.path) as new:
                _client(f"sqlite:///{new}").search_experiments()
        return _client(self.uri)

    def _settle(self, wait: float, results: Path, experiment: str) -> None:
        """Begin a write, for errors that say what to do and without MLflow's long waits; move paths of another folder here."""
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=wait, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                self._move_paths(connection, results, experiment)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise YapoError(f"{self.path}: locked by another program for {wait:g} s; close that program") from None
            raise YapoError(
                f"{self.path}: not a database that can be written ({error}); delete it, the next ingest makes it anew"
            ) from None

    def _move_paths(self, connection: sqlite3.Connection, results: Path, experiment: str) -> None:
        """Make a study that was moved or copied here point to its own artifacts, under its own name.

        A run whose artifacts did not come along loses its digest, so that the ingest writes them again.
        """
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiment_tags'").fetchone():
            return
        elsewhere = connection.execute(
            "SELECT e.experiment_id, e.artifact_location FROM experiments e JOIN experiment_tags t USING (experiment_id) "
            "WHERE t.key = ? AND (t.value != ? OR e.artifact_location != ?)",
            (STUDY_TAG, str(results), self.artifact_location),
        ).fetchall()
        for identity, old in elsewhere:
            new = (self.artifact_location, identity)
            connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", new)
            if not connection.execute("SELECT 1 FROM experiments WHERE name = ?", (experiment,)).fetchone():
                connection.execute("UPDATE experiments SET name = ? WHERE experiment_id = ?", (experiment, identity))
            connection.execute(
                "UPDATE experiment_tags SET value = ? WHERE key = ? AND experiment_id = ?", (str(results), STUDY_TAG, identity)
            )
            connection.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (self.artifact_location, len(old) + 1, identity, len(old), old),
            )
            for run, uri in connection.execute("SELECT run_uuid, artifact_uri FROM runs WHERE experiment_id = ?", (identity,)):
                if not Path(url2pathname(urlsplit(uri).path)).exists():
                    connection.execute("DELETE FROM tags WHERE run_uuid = ? AND key = ?", (run, DIGEST_TAG))

    def check(self, experiment: Experiment, results: Path) -> None:
        """Refuse an experiment of that name that another program made."""
        if experiment.artifact_location != self.artifact_location:
            raise YapoError(
                f"{self.path}: its experiment '{experiment.name}' has its artifacts in {experiment.artifact_location}, not in "
                f"{self.artifact_location}: it is not that of {results}; delete the database and the next ingest makes it anew"
            )


@cache
def _commit_without_waiting_for_the_disk() -> None:
    """Let SQLite leave the writing of commits to the system: thousands of waits for a disk took most of an ingest's time.

    A process that is killed loses nothing by it. A machine that loses power may leave a damaged file; the next ingest makes it
    anew once it is deleted, as it says.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def _(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")


def _target(place: Path) -> Path:
    """Return the place itself, behind links. A link into a folder that does not exist is refused: no one asked to make that."""
    try:
        target = place.resolve()
    except RuntimeError as error:
        raise YapoError(f"{place}: {error}; delete the link") from None
    if place.is_symlink() and not target.parent.is_dir():
        raise YapoError(f"{place}: a link to {target}, whose folder does not exist; make that folder, or delete the link")
    return target


class Server:
    """An MLflow server, which keeps the artifacts too. Whoever writes to it must see the results folder, where the lock is.

    Attributes: see ``Database``.
    """

    remedy = "see to the server, or unset MLFLOW_TRACKING_URI to use the study's own database"

    def __init__(self, uri: str, results: Path) -> None:
        """Name the server and the study.

        Raises:
            YapoError: the address is not that of a server.
        """
        if "@" in uri:
            raise YapoError("MLFLOW_TRACKING_URI holds a password; use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        if not uri.startswith(("http://", "https://")) or host_of(uri) is None:
            raise YapoError(f"MLFLOW_TRACKING_URI={uri}: not a server; write http://HOST:PORT, or unset it")
        self.uri = uri.rstrip("/")
        self.name = self.uri
        self.lock = results.resolve() / "mlflow-server.lock"
        self.artifact_location: str | None = None

    def open(self, wait: float, results: Path, experiment: str) -> MlflowClient:  # noqa: ARG002
        """Reach the server, before MLflow's own retries, which take minutes."""
        deadline = time.monotonic() + wait
        while (trouble := server_trouble(self.uri, max(wait, 1.0))) is not None:
            if time.monotonic() >= deadline:
                raise YapoError(f"{self.uri}: no MLflow server answers here ({trouble}); {_NO_SERVER}")
            time.sleep(min(1.0, wait))
        return _client(self.uri)

    def check(self, experiment: Experiment, results: Path) -> None:
        """Refuse an experiment of that name which shows another folder: two studies would rewrite each other's runs."""
        shown = experiment.tags.get(STUDY_TAG)
        if shown != str(results):
            raise YapoError(
                f"{self.uri}: its experiment '{experiment.name}' shows {shown or 'something else'}, not {results}; "
                "set MLFLOW_EXPERIMENT_NAME to a name of your own"
            )


Place = Database | Server


def server_trouble(uri: str, timeout: float) -> str | None:
    """Return what the health check of an MLflow server says, or why there is no answer; None where all is well."""
    parts = urlsplit(uri)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        with contextlib.closing(kind(parts.netloc, timeout=timeout)) as connection:
            connection.request("GET", f"{parts.path}/health")
            answer = connection.getresponse()
            return None if answer.status == http.HTTPStatus.OK else f"{answer.status} {answer.reason}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or repr(error)


def _client(uri: str) -> MlflowClient:
    """Open a database or server, quietly, and without word to anyone outside."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for every run of a server
    # A pooled connection would go on writing to a database that was deleted meanwhile.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # failures come back as exceptions and are told once
    return MlflowClient(tracking_uri=uri, registry_uri=uri)
