"""A study with vectors of another tool beside a method that learns, from the files to the tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from yapo.exchange.read import read
from yapo.tensors import load_tensors

from .study import Study

WIDTH, LAYER = 96, 1
V = torch.randn(WIDTH, generator=torch.Generator().manual_seed(4))
SMALL = f"tasks=[open_ended] settings=[nonlocalized] methods=[caa,imported] discovery.layer={LAYER} discovery.countries=[]"


def settings(pattern: str) -> tuple[str, str]:
    return f"overrides={SMALL}", f"method_overrides={{imported: method.options.file={pattern}}}"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Study(tmp_path / "study", "countries=[nepal]")
    torch.save(V, made.folder / f"vec_ep20_layer{LAYER}.pt")
    read(made.folder / f"vec_ep20_layer{LAYER}.pt", "world/model").save(made.folder / "nepal.safetensors")
    return made


@pytest.mark.slow
def test_a_missing_file_is_told_before_anything_runs(study: Study) -> None:
    told = study.snakemake("--", "all_tables", config=settings("vectors/COUNTRY.safetensors"), fails=True)
    assert "error: method.options.file=vectors/nepal.safetensors: no such file for nepal" in told
    assert "Traceback" not in told
    assert not (study.root / "data").exists()


@pytest.mark.slow
def test_it_is_a_column_of_the_tables(study: Study) -> None:
    study.snakemake("--", "all_tables", config=settings("COUNTRY.safetensors"))
    trained, _ = load_tensors(study.root / "hindi/nepal/train/imported/open_ended-nonlocalized.safetensors")
    assert torch.equal(trained["epochs"], V[None])
    summary = (study.root / "tables" / "summary.md").read_text(encoding="utf-8")
    assert "| CAA | Imported |" in summary
    scores = pd.read_parquet(study.root / "hindi" / "nepal" / "evaluation.parquet")
    counts = scores.groupby("method").size()
    assert counts["imported"] == counts["caa"] > 0
    assert study.planned(config=settings("COUNTRY.safetensors")) == {}
