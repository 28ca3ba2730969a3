"""Vectors of other tools: what is read, and what is refused in one sentence."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import yapo
from tests.refusals import refused
from yapo.exchange.export import export
from yapo.exchange.read import read
from yapo.models.checkpoint import weights_digest
from yapo.steering.vector import SteeringVector, VectorInfo

MODEL = Path("world/model")
WIDTH, LAYERS = 96, 6
V = torch.randn(WIDTH, generator=torch.Generator().manual_seed(2))
LM_EVAL = {"layers.3": {"steering_vector": V, "steering_coefficient": 2.0, "action": "add", "bias": None}}


def own_vector(layer: int = 2) -> SteeringVector:
    return SteeringVector(V, VectorInfo("caa", "dense", layer, str(MODEL), weights_digest(MODEL), multiplier=0.5))


def write(path: Path, content: Any) -> Path:
    """Write a file of another tool in the format that the ending of its name says."""
    if path.suffix == ".pt":
        torch.save(content, path)
    elif path.suffix == ".safetensors":
        save_file(content, path)
    elif path.suffix == ".npy":
        np.save(path, content)
    else:
        path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("to", "name"),
    [("gguf", "v.gguf"), ("svec", "v.svec"), ("lm-eval", "v.pt"), ("easysteer", "v.gguf"), ("neuronpedia", "v.json")],
)
def test_what_is_exported_comes_back(tmp_path: Path, to: str, name: str) -> None:
    export(own_vector(), tmp_path / name, to, allow_pickle=True)
    found = read(tmp_path / name, MODEL)
    assert torch.equal(found.values, 0.5 * V)
    info = found.info
    assert (info.method, info.space, info.layer, info.multiplier, info.steer_bos) == ("imported", "dense", 2, 1.0, False)
    assert (info.model, info.model_digest) == (str(MODEL), weights_digest(MODEL))
    found.save(tmp_path / "v.safetensors")
    assert torch.equal(yapo.load_vector(tmp_path / "v.safetensors").values, found.values)


@pytest.mark.parametrize(
    ("name", "content", "layer", "expected"),
    [
        ("v.pt", V, 2, V),
        ("v.pt", V[None].half(), 2, V.half().float()),
        ("v.pt", torch.nn.Parameter(V.double()), 2, V),
        ("v.pt", {"dir": V, "avg_proj": 1.0}, 2, V),
        ("vec_ep20_layer3.pt", V, None, V),
        ("v.pt", LM_EVAL, None, 2.0 * V),
        ("v.pt", torch.stack([V * n for n in range(LAYERS)]), 3, 3 * V),
        ("v.safetensors", {"anything": V.bfloat16()}, 2, V.bfloat16().float()),
        ("v.safetensors", {"layer3.sv": V}, None, V),
        ("v.safetensors", {"layer3": V, "layer4": 2 * V}, 4, 2 * V),
        ("v.npy", V.double().numpy(), 2, V),
        ("v.svec", {"model_type": "gemma2", "directions": {"3": V.tolist()}}, None, V),
        ("v.svec", {"directions": {"3": [V.tolist()], "4": [(2 * V).tolist()]}}, 4, 2 * V),
        ("v.json", {"vector": V.tolist(), "layerNumber": 4, "hookType": "hook_resid_pre", "modelId": "x"}, None, V),
        (
            "v.json",
            {"vector": V.tolist(), "hookName": "blocks.3.hook_resid_post", "vectorDefaultSteerStrength": 10},
            None,
            10 * V,
        ),
    ],
)
def test_formats(tmp_path: Path, name: str, content: Any, layer: int | None, expected: torch.Tensor) -> None:
    found = read(write(tmp_path / name, content), MODEL, layer)
    torch.testing.assert_close(found.values, expected, rtol=1e-6, atol=1e-6)
    assert found.info.layer == (3 if layer is None else layer)


def test_the_first_token_too(tmp_path: Path) -> None:
    found = read(write(tmp_path / "v.pt", V), MODEL, 2, steer_bos=True)
    assert found.info.steer_bos and "BOS" not in found.info.convention


@pytest.mark.parametrize(
    ("name", "content", "layer", "parts"),
    [
        ("v.bin", V, 2, ("v.bin", "unknown format", ".gguf, .json, .npy, .pt")),
        ("v.pt", V, None, ("v.pt", "does not say which block", "0 to 5")),
        ("v.pt", V, 6, ("v.pt", "block 6", "0 to 5")),
        ("v.pt", V, -1, ("block -1",)),
        ("v.pt", V[:-1], 2, ("95 entries", "96 wide")),
        ("v.pt", V.long(), 2, ("torch.int64", "floating-point")),
        ("v.pt", V / 0, 2, ("NaN or infinity",)),
        ("v.pt", V.double() * 1e300, 2, ("beyond float32",)),
        ("v.pt", torch.stack([V] * LAYERS), None, ("holds 6 layers (0 to 5)", "give layer")),
        ("v.pt", {"a": V, "b": V}, 2, ("holds a, b", "one tensor")),
        ("v.pt", [V], 2, ("holds list",)),
        ("v.pt", {"v": {1, 2}}, 2, ("no tensor",)),
        ("v.pt", {"layers.3.mlp": LM_EVAL["layers.3"]}, None, ("hookpoint 'layers.3.mlp'",)),
        ("v.pt", {"layers.3": {**LM_EVAL["layers.3"], "action": "clamp"}}, None, ("no addition",)),
        ("v.pt", LM_EVAL, 2, ("layer=2", "holds 3")),
        ("v.npy", np.array([{"a": 1}], dtype=object), 2, ("damaged, or no array of numbers",)),
        ("v.svec", {"directions": {"3": [V.tolist()] * 2}}, None, ("layer 3", "[2, 96]", "one direction")),
        ("v.svec", {"directions": {"three": V.tolist()}}, None, ("'three'", "no number")),
        ("v.svec", {"directions": {"3": ["a"]}}, None, ("no list of numbers",)),
        ("v.svec", {"directions": {"3": V.tolist(), "5": V.tolist()}}, None, ("holds 2 layers (3, 5)",)),
        ("v.svec", {"model_type": "llama", "directions": {"3": V.tolist()}}, None, ("made for llama", "is gemma2")),
        ("v.json", {"vector": V.tolist()}, None, ("names no place",)),
        ("v.json", {"vector": V.tolist(), "layerNumber": 0, "hookType": "hook_resid_pre"}, None, ("embedding",)),
        ("v.json", {"values": V.tolist()}, None, ("no 'vector'",)),
        ("v.json", [1, 2], None, ("no 'vector'",)),
        ("v.json", {"vector": V.tolist(), "vectorDefaultSteerStrength": "9"}, None, ("vectorDefaultSteerStrength='9'",)),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: Any, layer: int | None, parts: tuple[str, ...]) -> None:
    path = tmp_path / name
    if path.suffix == ".bin":
        path.write_bytes(b"")
    else:
        write(path, content)
    refused(lambda: read(path, MODEL, layer), *parts)


def empty(_data: bytes) -> bytes:
    return b""


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def overwritten(data: bytes) -> bytes:
    return b"\xff" * len(data)


@pytest.mark.parametrize("name", ["v.gguf", "v.pt", "v.safetensors", "v.npy", "v.svec", "v.json"])
@pytest.mark.parametrize("damage", [empty, cut, overwritten])
def test_damaged_files(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    to = {".gguf": "gguf", ".svec": "svec", ".json": "neuronpedia"}.get(path.suffix)
    if to is not None:
        export(own_vector(), path, to)
    else:
        write(path, {"v": V} if path.suffix == ".safetensors" else V)
    path.write_bytes(damage(path.read_bytes()))
    refused(lambda: read(path, MODEL, 2), str(path))
    path.unlink()
    refused(lambda: read(path, MODEL, 2), str(path), "no such file")


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


def test_no_code_of_a_pickle_runs(tmp_path: Path) -> None:
    path, ran = tmp_path / "v.pt", tmp_path / "ran"
    torch.save({"v": V, "more": Command(ran)}, path)
    refused(lambda: read(path, MODEL, 2), "v.pt", "holds Python objects beside tensors", "save the tensor alone")
    assert not ran.exists()


def test_a_vector_of_this_project_is_used_as_it_is(tmp_path: Path) -> None:
    own_vector().save(tmp_path / "v.safetensors")
    refused(lambda: read(tmp_path / "v.safetensors", MODEL), "of this project already", "use it as it is")


def gguf_file(path: Path, tensors: dict[str, np.ndarray], architecture: str = "controlvector", **keys: str) -> Path:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in keys.items():
        writer.add_string(f"controlvector.{key}", value)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_gguf_of_several_layers(tmp_path: Path) -> None:
    path = gguf_file(tmp_path / "v.gguf", {f"direction.{n}": (n * V).numpy() for n in range(1, LAYERS)}, model_hint="gemma2")
    assert torch.equal(read(path, MODEL, 4).values, 4 * V)
    refused(lambda: read(path, MODEL), "holds 5 layers (1 to 5)", "give layer")
    refused(lambda: read(path, MODEL, 0), "layer=0", "holds 1 to 5")


@pytest.mark.parametrize(
    ("tensors", "keys", "parts"),
    [
        ({"direction.1": V.half().numpy()}, {}, ("direction.1 is F16", "F32")),
        ({"direction.1": V[None].repeat(2, 1).numpy()}, {}, ("[2, 96]",)),
        ({"blk.1": V.numpy()}, {}, ("'blk.1' is no direction",)),
        ({"direction.1": V.numpy()}, {"architecture": "llama"}, ("architecture 'llama'",)),
        ({"direction.1": V.numpy()}, {"model_hint": "qwen2"}, ("made for qwen2", "is gemma2")),
        ({"direction.9": V.numpy()}, {}, ("block 9", "0 to 5")),
        ({"direction.1": V[:8].numpy()}, {}, ("8 entries", "96 wide")),
    ],
)
def test_gguf_that_is_no_vector_for_the_model(
    tmp_path: Path, tensors: dict[str, np.ndarray], keys: dict[str, str], parts: tuple[str, ...]
) -> None:
    path = gguf_file(tmp_path / "v.gguf", tensors, **keys)
    refused(lambda: read(path, MODEL), *parts)


def test_gguf_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "v.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60))
    refused(lambda: read(path, MODEL), "damaged or not GGUF")
