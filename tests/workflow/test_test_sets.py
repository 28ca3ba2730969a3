"""Data that are for evaluation only: refused before anything runs, and evaluated from the file to the tables."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from tests.data.published_rows import blend_rows, write
from yapo.files import stated_role
from yapo.models.checkpoint import weights_digest
from yapo.steering.vector import SteeringVector, VectorInfo

from .study import Study

LAYER = 2
V = torch.randn(96, generator=torch.Generator().manual_seed(5))
TEST_SET = (
    f"data=blend data.path=mc.json tasks=[mcq] settings=[localized] methods=[imported] discovery.layer={LAYER} "
    "report.resamples=200"
)
FROM_FILE = (f"overrides={TEST_SET}", "method_overrides={imported: method.options.file=v.safetensors}")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = Study(tmp_path_factory.mktemp("test_sets") / "study", "countries=[uk]")
    write(made.folder / "mc.json", blend_rows())
    info = VectorInfo("caa", "dense", LAYER, "world/model", weights_digest(made.folder / "world/model"), multiplier=0.5)
    SteeringVector(V, info).save(made.folder / "v.safetensors")
    return made


def test_training_on_it_is_refused_before_anything_runs(study: Study) -> None:
    trained = TEST_SET.replace("methods=[imported]", "methods=[caa,yapo]")
    told = study.snakemake("--", "all_tables", config=(f"overrides={trained}",), fails=True)
    assert "error: data.source=blend: is for evaluation only, and methods=caa,yapo learn on it; give other data" in told
    assert "Traceback" not in told
    assert not study.root.exists()


@pytest.mark.slow
def test_it_is_evaluated_from_the_file_to_the_tables(study: Study) -> None:
    study.snakemake("--", "all_tables", config=FROM_FILE)
    root = study.root
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
    assert study.planned(config=FROM_FILE) == {}
