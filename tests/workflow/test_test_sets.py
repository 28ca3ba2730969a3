"""Data that are for evaluation only: refused before anything runs, and evaluated from the file to the tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.data.published_rows import blend_rows, write
from yapo.files import stated_role
from yapo.models.checkpoint import weights_digest
from yapo.steering.vector import SteeringVector, VectorInfo

from .test_dag import ROOT, environment, planned_jobs

LAYER = 2
V = torch.randn(96, generator=torch.Generator().manual_seed(5))
TEST_SET = (
    f"data=blend data.path=mc.json tasks=[mcq] settings=[localized] methods=[imported] discovery.layer={LAYER} "
    "report.resamples=200"
)
FROM_FILE = "method_overrides={imported: method.options.file=v.safetensors}"


def snakemake(folder: Path, *arguments: str, overrides: str = TEST_SET, more: str = FROM_FILE, check: bool = True) -> str:
    base = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    settings = ["experiment=smoke", "countries=[uk]", f"overrides={overrides}", *([more] if more else [])]
    done = subprocess.run(
        [*base, "--max-jobs-per-timespan", "100/1s", "--config", *settings, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert (done.returncode == 0) is check, output[-4000:]
    return output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("test_sets")
    os.symlink(ROOT / "world", made / "world")
    write(made / "mc.json", blend_rows())
    info = VectorInfo("caa", "dense", LAYER, "world/model", weights_digest(ROOT / "world/model"), multiplier=0.5)
    SteeringVector(V, info).save(made / "v.safetensors")
    return made


def test_training_on_it_is_refused_before_anything_runs(folder: Path) -> None:
    trained = TEST_SET.replace("methods=[imported]", "methods=[caa,yapo]")
    told = snakemake(folder, "--", "all_tables", overrides=trained, more="", check=False)
    assert "error: data.source=blend: is for evaluation only, and methods=caa,yapo learn on it; give other data" in told
    assert "Traceback" not in told
    assert not (folder / "results").exists()


@pytest.mark.slow
def test_it_is_evaluated_from_the_file_to_the_tables(folder: Path) -> None:
    snakemake(folder, "--", "all_tables")
    root = folder / "results" / "smoke"
    items, split = (pd.read_parquet(root / "data" / f"{name}.parquet") for name in ("items", "split"))
    assert set(split["split"]) == {"test"}
    assert stated_role(root / "data" / "items.parquet") == "test"
    answers = pd.read_parquet(root / "english" / "uk" / "evaluation.parquet")
    counts = answers.groupby("method").size().to_dict()
    assert counts == dict.fromkeys(("baseline", "imported", "prompt", "random"), len(items[items["country"] == "uk"]))
    assert set(answers.loc[answers["method"] == "imported", "multiplier"]) == {0.5}  # its own, not one that was chosen
    kept = SteeringVector.load(root / "english/uk/vectors/imported/mcq-localized.safetensors")
    assert torch.equal(kept.values, V)
    assert not list(root.glob("english/*/train")) + list(root.glob("english/*/pairs")) + list(root.glob("english/*/prepared"))
    assert [path.name for path in sorted((root / "figures").glob("*.svg"))] == ["summary.svg"]
    positions = pd.read_csv(root / "tables" / "option_positions.csv")
    assert set(positions["chosen_by"]) == {"right answer", "baseline", "prompt", "random", "imported"}
    assert positions.loc[positions["chosen_by"] == "right answer", "value"].sum() == pytest.approx(100.0, abs=0.01)
    summary = (root / "tables" / "summary.md").read_text(encoding="utf-8")
    assert "| Baseline | Prompt | Random | Imported |" in summary
    assert "All questions are localized; the data have no other form." in summary
    assert planned_jobs(snakemake(folder, "--dry-run", "--", "all_tables")) == {}
