"""The vector file: what goes in comes out, and nothing else is taken for one."""

from __future__ import annotations

import json
import stat
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import yapo
from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.steering.activations import ActivationStore
from yapo.steering.methods.dspa.map import MAP_CONVENTION, ConditionalMap
from yapo.steering.vector import CONVENTION, SteeringVector, TrainedVector, VectorInfo

from ..refusals import refused
from .methods.test_dspa_map import make_map

INFO = VectorInfo(
    method="yapo",
    space="sparse",
    layer=2,
    model="world/model",
    model_digest="0123456789ab",
    sae="world/sae/layer_2",
    sae_digest="ba9876543210",
    multiplier=1.5,
    steer_bos=True,
    data_hash="d",
    config_hash="c",
    extra={"country": "egypt", "native": "مصر", "epoch": 3, "versions": {"torch": "2"}},
)


@pytest.fixture
def vector() -> SteeringVector:
    return SteeringVector(torch.randn(64, generator=torch.Generator().manual_seed(0)), INFO)


def test_round_trip(tmp_path: Path, vector: SteeringVector) -> None:
    vector.save(tmp_path / "deep" / "v.safetensors")
    loaded = yapo.load_vector(str(tmp_path / "deep" / "v.safetensors"))
    assert torch.equal(loaded.values, vector.values)
    assert loaded.info == INFO
    assert loaded.info.convention == CONVENTION


def test_same_vector_same_bytes(tmp_path: Path, vector: SteeringVector) -> None:
    vector.save(tmp_path / "a.safetensors")
    shuffled = replace(INFO, extra=dict(reversed(INFO.extra.items())))
    SteeringVector(vector.values.clone(), shuffled).save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o644


def test_any_safetensors_reader_reads_it(tmp_path: Path, vector: SteeringVector) -> None:
    vector.save(tmp_path / "v.safetensors")
    with safe_open(tmp_path / "v.safetensors", framework="np") as file:
        assert json.loads(file.metadata()["yapo"]) == asdict(INFO)
        assert torch.equal(torch.from_numpy(file.get_tensor("vector")), vector.values)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"nothing.safetensors: no such file"):
        yapo.load_vector(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_file(tmp_path: Path, vector: SteeringVector, kept: int) -> None:
    path = tmp_path / "v.safetensors"
    vector.save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(YapoError, match=f"{path}: damaged or not safetensors"):
        yapo.load_vector(path)


def test_a_folder_is_not_a_vector(tmp_path: Path) -> None:
    refused(lambda: yapo.load_vector(tmp_path), f"{tmp_path}: a folder; give")
    refused(lambda: ActivationStore.load(tmp_path), f"{tmp_path}: a folder; give")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "path='': not the path of a file"),
        (".", ".: a folder"),
        ("/dev/null", "/dev/null: no regular file"),
        (None, "path=None: not the path of a file"),
        (3, "path=3: not"),
        (b"x", "path=b'x': not"),
        (["v.safetensors"], "path=['v.safetensors']: not"),
        ("v\0.safetensors", "no such file"),
        ("n" * 300, "File name too long"),
        ("/dev/null/v.safetensors", "no such file"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_path_of_a_file(path: Any, said: str, vector: SteeringVector) -> None:
    refused(lambda: yapo.load_vector(path), said)
    if not isinstance(path, str):
        refused(lambda: vector.save(path), said)


def _foreign(path: Path, metadata: dict[str, str] | None, name: str = "vector") -> Path:
    save_file({name: torch.zeros(3)}, path, metadata=metadata)
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no header of this project"),
        ({"format": "pt"}, "no header of this project"),
        ({"yapo": "{not json"}, "the header is not a JSON object"),
        ({"yapo": "[]"}, "the header is not a JSON object"),
        ({"yapo": "[" * 100_000}, "the header is not a JSON object"),
        ({"yapo": '{"layer": 1, "space": "dense", "layer": 0}'}, "it names 'layer' twice"),
        ({"yapo": '{"extra": {"a": 1, "a": 1}}'}, "it names 'a' twice"),
        ({"yapo": '{"layer": ' + "1" * 5000 + "}"}, "the header is not a JSON object"),
    ],
)
def test_foreign_headers(tmp_path: Path, metadata: dict[str, str] | None, message: str) -> None:
    path = _foreign(tmp_path / "v.safetensors", metadata)
    refused(lambda: yapo.load_vector(path), str(path), message)


def test_a_place_that_cannot_be_written(tmp_path: Path, vector: SteeringVector) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(YapoError, match=r"(Permission denied|Not a directory|File exists|Is a directory)"):
        vector.save(tmp_path / "file" / "v.safetensors")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, vector: SteeringVector) -> None:
    path = tmp_path / "v.safetensors"
    vector.save(path)
    before = path.read_bytes()
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for extra in ({"not JSON": object()}, {1: 2, "1": 3}, {"half a letter": "\ud800"}, {"deep": deep}):
        refused(lambda extra=extra: SteeringVector(vector.values, replace(INFO, extra=extra)).save(path), "its header is no JSON")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("demix", [False, True])
def test_a_map_travels_with_its_strength(tmp_path: Path, sae: SAE, demix: bool) -> None:
    """From training over the chosen vector to the user, whose edit is the same."""
    made = make_map(sae, sae, demix=demix, mode="both")
    info = replace(INFO, method="dspa", space="map", convention=MAP_CONVENTION)
    TrainedVector(torch.tensor([[0.2]]), info, made).save(tmp_path / "trained.safetensors")
    trained = TrainedVector.load(tmp_path / "trained.safetensors")
    trained.chosen(1, 2.0).save(tmp_path / "chosen.safetensors")
    chosen = yapo.load_vector(tmp_path / "chosen.safetensors")
    assert isinstance(chosen.payload, ConditionalMap)
    assert (chosen.values.tolist(), chosen.info.multiplier, chosen.info.extra["epoch"]) == ([pytest.approx(0.2)], 2.0, 1)
    assert (chosen.payload.info, chosen.payload.digest, chosen.info.convention) == (made.info, made.digest, MAP_CONVENTION)
    chosen.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "chosen.safetensors").read_bytes()
