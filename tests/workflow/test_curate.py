"""Curation as a DAG of its own: what runs, what runs again, and that no study waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from .test_dag import ROOT, environment, planned_jobs


def snakemake(folder: Path, *arguments: str, overrides: str = "", check: bool = True) -> str:
    base = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    base += ["--max-jobs-per-timespan", "100/1s", "--config", "experiment=smoke", f"overrides={overrides}"]
    done = subprocess.run([*base, *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment())
    output = done.stdout + done.stderr
    assert (done.returncode == 0) is check, output[-4000:]
    return output


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curate")
    os.symlink(ROOT / "world", folder / "world")
    snakemake(folder, "--", "curate")
    return folder


def test_the_recorded_session_becomes_a_table(curated: Path) -> None:
    root = curated / "results" / "smoke"
    assert len(pd.read_parquet(root / "curation" / "items.parquet")) == 514
    assert (root / "curation" / "hub" / "README.md").is_file()
    assert (root / "curation" / "funnel.html").is_file()
    assert not (root / "data").exists()


@pytest.mark.parametrize(
    ("overrides", "again"),
    [
        pytest.param("", (), marks=pytest.mark.slow),
        ("curation.duplicates.threshold=0.95", ("duplicates", "variants", "package", "report")),
        pytest.param("curation.licence=mit", ("package",), marks=pytest.mark.slow),
    ],
)
def test_a_setting_reruns_the_steps_that_read_it_and_what_follows(curated: Path, overrides: str, again: tuple[str, ...]) -> None:
    planned = planned_jobs(snakemake(curated, "--dry-run", "--", "curate", overrides=overrides))
    assert planned == Counter({f"curate_{step}": 1 for step in again} | ({"curate": 1} if again else {}))


@pytest.mark.slow
def test_no_study_waits_for_curation(curated: Path) -> None:
    planned = planned_jobs(snakemake(curated, "--dry-run", "--", "all_tables"))
    assert planned["evaluate"] == 2
    assert not [name for name in planned if name.startswith("curate")]


@pytest.mark.slow
def test_a_refusal_is_one_line_of_the_job_s_log(curated: Path) -> None:
    output = snakemake(curated, "--", "curate", overrides="curation.seeds=nowhere.csv", check=False)
    assert "error: nowhere.csv: no such file" in output
    assert "Traceback" not in output
