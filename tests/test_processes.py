"""A run clears the temporary folders of runs that were killed, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from yapo.processes import RUN, clear_temporary, end_with_run

ROOT = Path(__file__).resolve().parents[1]
AT_WORK = """
import sys, time
from pathlib import Path
from yapo.processes import clear_temporary
clear_temporary(Path(sys.argv[1]), "run*")
print(flush=True)
time.sleep(60)
"""


def test_folders_of_killed_runs_go_and_no_others(tmp_path: Path) -> None:
    for name in ("run-own", "run-killed", "run-at-work", "run-of-another-program", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text("x")
    runs = []
    for name in ("run-killed", "run-at-work"):
        command = [sys.executable, "-c", AT_WORK, str(tmp_path / name)]
        runs.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        assert runs[-1].stdout is not None
        assert runs[-1].stdout.readline() == "\n"
    (tmp_path / "run-of-another-program" / "yapo.lock").symlink_to(tmp_path / "other" / "content")
    runs[0].kill()
    runs[0].wait()
    clear_temporary(tmp_path / "run-own", "run*")
    left = {path.name for path in tmp_path.iterdir()}
    runs[1].kill()
    runs[1].wait()
    assert left == {"run-own", "run-at-work", "run-of-another-program", "other"}
    assert (tmp_path / "other" / "content").read_text() == "x"


def test_outside_a_run_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "not a number"):
        monkeypatch.setenv(RUN, value)
        end_with_run()
