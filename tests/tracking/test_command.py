"""The command line of the MLflow view."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tracking.study_files import curve, runs, write_curve
from yapo.errors import YapoError
from yapo.tracking.__main__ import ingest, main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_ui_serves_what_grows_beside_another_ingest_and_stops_cleanly(results: Path, yapo: Path) -> None:
    (results / "mlflow.db").unlink()  # both will want to make it
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, study = [sys.executable, "-m", "yapo.tracking"], ["--results", str(results)]
    commands = [[*program, "ui", *study, "--port", str(port)], [*program, "ingest", *study]]
    ui, other = (
        subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for command in commands
    )
    try:
        assert ui.stdout is not None
        assert f"http://127.0.0.1:{port}/#/experiments/1/runs?viewStateShareKey=yapo-methods" in ui.stdout.readline()
        words, errors = other.communicate(timeout=60)
        assert (other.returncode, "not up to date" in errors) == (0, False)
        assert words.strip().endswith(("3 created", "3 unchanged"))
        assert len(runs(results)) == 3

        write_curve(yapo.parent / "bipo", curve())
        deadline = time.monotonic() + 60
        while "egypt/bipo/mcq/both" not in runs(results):
            assert time.monotonic() < deadline, "the new curve never came"
            time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", port)):
            pass
    finally:
        ui.send_signal(signal.SIGTERM)
        _, errors = ui.communicate(timeout=60)
    assert (ui.returncode, "not up to date" in errors) == (0, False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_mistakes_of_the_user_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "yapo.tracking", "ui", "--results", str(tmp_path), "--port", port]
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert (done.returncode, f"port {port} cannot be used" in done.stderr) == (2, True)
    for seconds in ("-1", "0", "nan", "inf"):
        monkeypatch.setattr(sys, "argv", ["yapo.tracking", "ingest", "--results", str(tmp_path), "--follow", seconds])
        assert main() == 2
        assert capsys.readouterr().err == f"--follow={float(seconds)}: a positive number of seconds, at most a day\n"
    with pytest.raises(YapoError, match="none: no such study folder; give the results folder of an experiment"):
        ingest(tmp_path / "none", follow=None)


def test_importing_the_view_does_not_import_mlflow() -> None:
    program = "import sys, yapo.tracking.__main__; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "False"
