"""Curation as a DAG of its own: what runs, what runs again, and that no study waits for it."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from .study import Study


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = Study(tmp_path_factory.mktemp("curate") / "study")
    made.snakemake("--", "curate")
    return made


def test_the_recorded_session_becomes_a_table(curated: Study) -> None:
    root = curated.root
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
def test_a_setting_reruns_the_steps_that_read_it_and_what_follows(curated: Study, overrides: str, again: tuple[str, ...]) -> None:
    planned = curated.planned("--", "curate", config=(f"overrides={overrides}",))
    assert planned == Counter({f"curate_{step}": 1 for step in again} | ({"curate": 1} if again else {}))


@pytest.mark.slow
def test_no_study_waits_for_curation(curated: Study) -> None:
    planned = curated.planned()
    assert planned["evaluate"] == 2
    assert not [name for name in planned if name.startswith("curate")]


@pytest.mark.slow
def test_a_refusal_is_one_line_of_the_job_s_log(curated: Study) -> None:
    output = curated.snakemake("--", "curate", config=("overrides=curation.seeds=nowhere.csv",), fails=True)
    assert "error: nowhere.csv: no such file" in output
    assert "Traceback" not in output
