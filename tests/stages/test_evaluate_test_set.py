"""Vectors from files on sets for evaluation only: those in one form, and tables of one's own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.data.published_rows import write
from tests.data.test_include import rows
from tests.data.test_schema import items_table
from tests.refusals import refused
from yapo.config.compose import compose
from yapo.config.conf_files import ROOT
from yapo.models.checkpoint import weights_digest
from yapo.paths import Paths
from yapo.stages import data, evaluate_test_set, tables
from yapo.steering.vector import SteeringVector, VectorInfo

LAYER = 1
MODEL = ROOT / "world" / "model"


def vector(folder: Path, layer: int = LAYER, width: int = 96) -> Path:
    """Write a vector at its own multiplier."""
    values = torch.randn(width, generator=torch.Generator().manual_seed(1))
    path = folder / f"v{layer}-{width}.safetensors"
    SteeringVector(values, VectorInfo("caa", "dense", layer, str(MODEL), weights_digest(MODEL), multiplier=1.5)).save(path)
    return path


def overrides(folder: Path, file: Path, *more: str) -> list[str]:
    study = [f"results={folder / 'results'}", f"model.path={MODEL}", f"sae.path={ROOT / 'world' / 'sae' / 'layer_LAYER'}"]
    return [
        *study, f"discovery.layer={LAYER}", "tasks=[mcq]", "method=imported", f"method.options.file={file}", "methods=[imported]",
        "report.resamples=100", *more,
    ]  # fmt: skip


def test_questions_that_have_no_localized_form_have_no_prompt_control(tmp_path: Path) -> None:
    path = write(tmp_path / "test.parquet", rows()[:1])
    given = overrides(
        tmp_path, vector(tmp_path), "data=include", f"data.path={path}", "settings=[nonlocalized]", "country=greece"
    )
    config = compose(given)
    data.main(config)
    evaluate_test_set.main(config)
    paths = Paths.of(config)
    answers = pd.read_parquet(paths.evaluation("greek", "greece"))
    assert sorted(answers["method"]) == ["baseline", "imported", "random"]
    assert set(answers.loc[answers["method"] == "imported", "multiplier"]) == {1.5}
    tables.main(config)
    summary = (paths.root / "tables" / "summary.md").read_text(encoding="utf-8")
    assert "All questions are non-localized; the data have no other form." in summary
    refused(
        lambda: evaluate_test_set.main(compose([*given, "settings=[localized]"])),
        "settings=localized: all questions of data.source=include are nonlocalized",
    )


def test_a_table_for_evaluation_only(tmp_path: Path) -> None:
    items_table().to_parquet(tmp_path / "items.parquet")
    given = overrides(tmp_path, vector(tmp_path), "data=table", f"data.path={tmp_path / 'items.parquet'}", "data.role=test")
    config = compose([*given, "settings=[both]", "country=egypt"])
    data.main(config)
    evaluate_test_set.main(config)
    answers = pd.read_parquet(Paths.of(config).evaluation("arabic", "egypt"))
    assert answers.groupby("method").size().to_dict() == dict.fromkeys(
        ("baseline", "imported", "prompt", "random"), len(items_table())
    )


@pytest.mark.parametrize(
    ("layer", "width", "message"),
    [
        (2, 96, "steers layer 2, the study 1; set discovery.layer=2"),
        (LAYER, 95, "95 entries, not 96"),
    ],
)
def test_a_vector_that_cannot_be_applied_is_refused(tmp_path: Path, layer: int, width: int, message: str) -> None:
    items_table().to_parquet(tmp_path / "items.parquet")
    file = vector(tmp_path, layer, width)
    given = overrides(tmp_path, file, "data=table", f"data.path={tmp_path / 'items.parquet'}", "data.role=test")
    config = compose([*given, "settings=[both]", "country=egypt"])
    data.main(config)
    refused(lambda: evaluate_test_set.main(config), f"method.options.file={file}", message)
    assert not Paths.of(config).evaluation("arabic", "egypt").exists()
