"""Tensor files: written in pieces or at once, the result is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from yapo.errors import YapoError
from yapo.tensors import load_tensors, save_tensors, stream_tensors

TENSORS = {
    "a": torch.arange(12, dtype=torch.float32).reshape(6, 2),
    "b": torch.arange(5, dtype=torch.int32),
    "c": torch.linspace(0, 1, 7).bfloat16(),
    "d": torch.tensor([3, 4]),
}


def stream(path: Path, sizes: int) -> None:
    shapes = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()}
    stream_tensors(path, shapes, lambda name: TENSORS[name].split(sizes), {"made": "in pieces"})


@pytest.mark.parametrize("sizes", [1, 2, 100])
def test_pieces_read_back_as_the_whole(tmp_path: Path, sizes: int) -> None:
    stream(tmp_path / "streamed.safetensors", sizes)
    save_tensors(tmp_path / "saved.safetensors", TENSORS, {"made": "in pieces"})
    streamed, header = load_tensors(tmp_path / "streamed.safetensors")
    saved, same = load_tensors(tmp_path / "saved.safetensors")
    assert header == same == {"made": "in pieces"}
    assert streamed.keys() == saved.keys()
    assert all(torch.equal(streamed[name], saved[name]) and streamed[name].dtype == saved[name].dtype for name in TENSORS)


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def pieces(name: str) -> list[torch.Tensor]:
        if name == "c":
            raise RuntimeError("disk full")
        return [TENSORS[name]]

    shapes = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()}
    with pytest.raises(RuntimeError, match="disk full"):
        stream_tensors(tmp_path / "x.safetensors", shapes, pieces, {})
    assert list(tmp_path.iterdir()) == []


def test_a_cut_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    stream(path, 100)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(YapoError, match="damaged or not safetensors"):
        load_tensors(path)


def test_tensors_are_memory_maps(tmp_path: Path) -> None:
    """Reading the file takes no memory of its own: a change of the file shows in the tensor."""
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.zeros(4096)}, {})
    tensor = load_tensors(path)[0]["a"]
    with path.open("r+b") as file:
        file.seek(-4, 2)
        file.write(torch.tensor([7.0]).numpy().tobytes())
    assert tensor[-1] == 7.0
