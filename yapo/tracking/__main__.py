"""Command line of the MLflow view: ``python -m yapo.tracking ingest`` and ``python -m yapo.tracking ui``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from yapo.checks import require
from yapo.errors import YapoError, require_extra
from yapo.tracking import views
from yapo.tracking.places import Database, Server, server_trouble
from yapo.tracking.store import Tracker

_HOST = "127.0.0.1"
_FOLLOW_SECONDS = 5.0
_START_SECONDS = 180.0  # the server imports for long on a busy machine
_STOP_SECONDS = 15.0


def _database(results: Path) -> Database:
    return Database(results / "mlflow.db", results / "mlartifacts")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def ingest(results: Path, follow: float | None) -> bool:
    """Ingest once, or every ``follow`` seconds until interrupted: to the server in use, else to the study's own database.

    Returns:
        Whether the view is whole: that of everything in the study's files.
    """
    results = results.resolve()
    if not results.is_dir():
        raise YapoError(f"{results}: no such study folder; give the results folder of an experiment")
    server = os.environ.get("MLFLOW_TRACKING_URI")
    if server:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", results.name)
        tracker = Tracker(results, Server(server, results), name, say=_tell)
    else:
        tracker = Tracker(results, _database(results), results.name, say=_tell)
    while True:
        report = tracker.ingest_or_warn()
        if report is not None and report.runs:
            counts = ", ".join(f"{number} {what}" for what, number in sorted(report.runs.items()))
            print(f"{tracker.place.name}: {counts}", flush=True)
        if follow is None:
            return report is not None and not report.problems
        time.sleep(follow)


def _ui(results: Path, port: int) -> None:
    """Serve the study's own database on this machine only, and ingest while it runs, until interrupted."""
    _check_free(port)
    results = results.resolve()
    database = _database(results)
    tracker = Tracker(results, database, results.name, say=_tell)
    report = tracker.ingest()
    for problem in report.problems:
        _tell(problem)
    with _server(database, results, port) as server:
        pages = partial(views.view_address, f"http://{_HOST}:{port}", report.experiment_id)
        if tracker.example:
            print(f"Methods side by side ({views.condition(tracker.example)}): {pages(views.METHODS, charts=True)}", flush=True)
        print(f"All runs: {pages(views.ALL, charts=False)}", flush=True)
        print("Curves are kept up to date while this runs; end it with Ctrl-C.", flush=True)
        while server.poll() is None:
            tracker.ingest_or_warn()
            time.sleep(_FOLLOW_SECONDS)
    raise YapoError(f"{_log_file(results)}: the MLflow server has ended by itself; this file says why")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except (OSError, OverflowError) as error:
            raise YapoError(f"port {port} cannot be used ({error}); give another one with --port") from None


def _log_file(results: Path) -> Path:
    return results / "mlflow-server.log"


@contextlib.contextmanager
def _server(database: Database, results: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``mlflow server`` in the background, from the moment it answers to the end of the block."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database.uri, "--workers", "1"]
    command += ["--artifacts-destination", database.artifacts.as_uri(), "--host", _HOST, "--port", str(port)]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with _log_file(results).open("wb") as log:
        # A session of its own: Ctrl-C reaches this process alone, which then ends the server with all its workers.
        server = subprocess.Popen(
            command, cwd=results, env=os.environ | quiet, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(server, port, _log_file(results))
        yield server
    finally:
        _stop(server)


def _wait_until_healthy(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        if server_trouble(f"http://{_HOST}:{port}", timeout=10) is None:
            return
        time.sleep(0.5)
    raise YapoError(f"{log}: the MLflow server did not start; this file says why")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, by force where asking does not help."""
    for step in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_STOP_SECONDS)
            return


def main() -> int:
    """Run the command line; return the exit status: 0 also after an interruption, 2 where the view is not up to date."""
    parser = argparse.ArgumentParser(prog="python -m yapo.tracking", description="The MLflow view of a study.")
    commands = parser.add_subparsers(dest="command", required=True)
    copying = commands.add_parser(
        "ingest", help="copy the curves and scores of a study into its MLflow database, or to the server MLFLOW_TRACKING_URI"
    )
    copying.add_argument("--results", type=Path, required=True, metavar="DIR", help="results folder of the study")
    copying.add_argument("--follow", type=float, metavar="SECONDS", help="go on, with a pass every so many seconds")
    ui = commands.add_parser("ui", help="serve the MLflow UI of a study, kept up to date while it trains")
    ui.add_argument("--results", type=Path, required=True, metavar="DIR", help="results folder of the study")
    ui.add_argument("--port", type=int, default=5000, help="port on this machine (default: 5000)")
    options = parser.parse_args()

    logging.basicConfig(format="%(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job of a shell starts with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        require_extra("track", "mlflow", "pyarrow")
        if options.command == "ingest" and options.follow is not None:
            require(0 < options.follow <= 86_400, "--follow", options.follow, "a positive number of seconds, at most a day")
        if options.command == "ui":
            _ui(options.results, options.port)
        elif not ingest(options.results, options.follow):
            return 2
    except YapoError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
