"""Files of the method imported, as planning checks them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.refusals import refused
from yapo.config.compose import compose, plain
from yapo.dag.input_files import imported_files
from yapo.models.checkpoint import weights_digest
from yapo.steering.vector import SteeringVector, VectorInfo

MODEL = Path("world/model")
V = torch.randn(96, generator=torch.Generator().manual_seed(3))
INFO = VectorInfo("imported", "dense", 2, "a copy", weights_digest(MODEL))


def settings(pattern: Path | str, *more: str) -> dict[str, Any]:
    return plain(compose(["experiment=smoke", "discovery.layer=2", "method=imported", f"method.options.file={pattern}", *more]))


def test_one_file_for_all_or_one_for_each(tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    SteeringVector(V, INFO).save(path)
    assert imported_files(settings(path), "egypt") == [path]
    for task in ("mcq", "open_ended"):
        SteeringVector(V, INFO).save(tmp_path / f"egypt/{task}.safetensors")
    config = settings(tmp_path / "COUNTRY/TASK.safetensors")
    assert [file.name for file in imported_files(config, "egypt")] == ["mcq.safetensors", "open_ended.safetensors"]
    refused(lambda: imported_files(config, "nepal"), "nepal/mcq.safetensors", "no such file for nepal, mcq")
    assert imported_files(plain(compose(["experiment=smoke", "method=caa"])), "egypt") == []


@pytest.mark.parametrize(
    ("vector", "parts"),
    [
        (SteeringVector(V, replace(INFO, layer=1)), ("steers layer 1, the study 2", "set discovery.layer=1")),
        (SteeringVector(V, replace(INFO, model_digest="0123456789ab")), ("a copy (0123456789ab)", "world/model")),
        (SteeringVector(V[:-1], INFO), ("95 entries, but world/model is 96 wide",)),
    ],
)
def test_a_vector_of_another_model_width_or_layer(tmp_path: Path, vector: SteeringVector, parts: tuple[str, ...]) -> None:
    path = tmp_path / "v.safetensors"
    vector.save(path)
    refused(lambda: imported_files(settings(path), "egypt"), f"method.options.file={path}", *parts)


def test_files_that_are_no_vectors(tmp_path: Path) -> None:
    for name, parts in {
        "v.gguf": ("a file of another tool", "yapo import", "v.safetensors"),
        "v.bin": ("no vector ends in '.bin'", "yapo import"),
        "none.safetensors": ("no such file",),
    }.items():
        refused(lambda name=name: imported_files(settings(tmp_path / name), "egypt"), f"{tmp_path / name}", *parts)
    (tmp_path / "v.safetensors").write_bytes(b"no tensors")
    refused(lambda: imported_files(settings(tmp_path / "v.safetensors"), "egypt"), "damaged", "yapo import")
    refused(lambda: imported_files(settings("''"), "egypt"), "method.options.file: empty")


def test_a_layer_that_is_yet_to_be_found(tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    SteeringVector(V, INFO).save(path)
    searching = settings(path, "discovery.layer=null", f"results={tmp_path}")
    refused(lambda: imported_files(searching, "egypt"), "yet to search", "set discovery.layer=2")
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke" / "layer.json").write_text('{"layer": 2}', encoding="utf-8")
    assert imported_files(searching, "egypt") == [path]
    (tmp_path / "smoke" / "layer.json").write_text('{"layer": 3}', encoding="utf-8")
    refused(lambda: imported_files(searching, "egypt"), "steers layer 2, the study 3")
