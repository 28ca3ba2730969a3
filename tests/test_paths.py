"""Paths of the files of a study."""

from __future__ import annotations

from pathlib import Path

from yapo.config import Config
from yapo.paths import Paths


def test_files_of_a_study() -> None:
    paths = Paths.of(Config(results="out", experiment="mine"))
    country = Path("out/mine/arabic/egypt")
    assert paths.items == Path("out/mine/data/items.parquet")
    assert paths.split == Path("out/mine/data/split.parquet")
    assert paths.layer == Path("out/mine/layer.json")
    assert paths.trained("arabic", "egypt", "caa") == country / "train" / "caa"
    assert paths.vector("arabic", "egypt", "caa", "mcq", "both") == country / "vectors" / "caa" / "mcq-both.safetensors"
    assert paths.validation("arabic", "egypt") == country / "validation.parquet"
    assert paths.evaluation("arabic", "egypt") == country / "evaluation.parquet"
    cells = [paths.store("arabic", "egypt", task) for task in ("mcq", "open_ended")]
    cells += [paths.pairs("arabic", "egypt", task) for task in ("mcq", "open_ended")]
    assert len(set(cells)) == 4
    assert all(country in cell.parents for cell in cells)
