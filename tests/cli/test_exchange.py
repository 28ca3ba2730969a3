"""``yapo export`` and ``yapo import``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.cli.command import refused, yapo
from tests.refusals import contents
from yapo import load_vector
from yapo.exchange.fidelity import neutral_prompts
from yapo.models.checkpoint import weights_digest
from yapo.steering.vector import SteeringVector, VectorInfo

MODEL = "world/model"
V = torch.randn(96, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    info = VectorInfo("caa", "dense", 2, MODEL, weights_digest(Path(MODEL)), multiplier=0.5)
    SteeringVector(V, info).save(tmp_path / "v.safetensors")
    return tmp_path / "v.safetensors"


def test_there_and_back(vector: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = yapo(capfd, "export", vector, "--to", "svec")
    assert done.status == 0, done.err
    lines = [
        f"{tmp_path}/v.svec",
        "Lost: the first token is steered too.",
        "Measured: not measured; give the model to measure it.",
    ]
    assert done.out.splitlines() == lines
    done = yapo(capfd, "import", tmp_path / "v.svec", "--model", MODEL, "-o", tmp_path / "back.safetensors")
    assert done.status == 0, done.err
    assert done.out == f"{tmp_path}/back.safetensors: a dense vector for block 2 of {MODEL}, norm {0.5 * V.norm():.3g}\n"
    assert torch.equal(load_vector(tmp_path / "back.safetensors").values, 0.5 * V)


def test_several_at_once_go_into_a_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number, country in enumerate(("egypt", "nepal"), start=1):
        torch.save(number * V, tmp_path / f"{country}.pt")
    folder, files = tmp_path / "vectors", [tmp_path / "egypt.pt", tmp_path / "nepal.pt"]
    done = yapo(capfd, "import", *files, "--model", MODEL, "--layer", 2, "-o", folder)
    assert done.status == 0, done.err
    assert torch.equal(load_vector(folder / "nepal.safetensors").values, 2 * V)
    assert sorted(path.name for path in folder.iterdir()) == ["egypt.safetensors", "nepal.safetensors"]


def test_several_are_written_all_or_none(vector: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save(V, tmp_path / "a.pt")
    torch.save(V[:-1], tmp_path / "b.pt")
    (tmp_path / "sub").mkdir()
    torch.save(V, tmp_path / "sub" / "a.pt")
    before, options = contents(tmp_path), ("--model", MODEL, "--layer", 2, "-o")
    a, b = tmp_path / "a.pt", tmp_path / "b.pt"
    refused(capfd, "import", a, b, *options, tmp_path / "new", parts=("b.pt", "95 entries"))
    refused(capfd, "import", a, b, *options, vector, parts=("--out=", "name a folder"))
    refused(capfd, "import", a, tmp_path / "sub" / "a.pt", *options, tmp_path / "new", parts=("a.safetensors", "written over"))
    refused(capfd, "import", a, *options, tmp_path / "new", parts=("--out=", ".safetensors"))
    refused(capfd, "import", vector, *options, tmp_path, parts=("v.safetensors", "written over"))
    assert contents(tmp_path) == before


def test_measured_on_prompts(vector: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = yapo(capfd, "export", vector, "--to", "hf", "--model", MODEL)
    assert done.status == 0, done.err
    assert f"in the answers to {len(neutral_prompts())} prompts." in done.out
    assert (tmp_path / "v-hf" / "README.md").is_file()
    (tmp_path / "p.txt").write_text("What is this?\n\nAnd that?\n", encoding="utf-8")
    done = yapo(capfd, "export", vector, "--to", "svec", "--model", MODEL, "--prompts", tmp_path / "p.txt", "--multiplier", 2)
    assert "in the answers to 2 prompts." in done.out
    record = json.loads((tmp_path / "v.svec").read_text())["yapo"]
    assert (record["multiplier"], record["fidelity"]["prompts"]) == (2.0, 2)


def test_refusals_write_nothing(vector: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = contents(tmp_path)
    refused(capfd, "export", vector, "--to", "guff", parts=("to=guff", "gguf"))
    refused(capfd, "export", vector, "--to", "lm-eval", parts=("--allow-pickle",))
    refused(capfd, "export", vector, "--to", "svec", "--prompts", "p.txt", parts=("--model",))
    refused(capfd, "export", vector, "--to", "svec", "--model", MODEL, "--prompts", "nosuch.txt", parts=("nosuch.txt",))
    refused(capfd, "export", tmp_path / "none.safetensors", "--to", "svec", parts=("none.safetensors", "no such file"))
    refused(capfd, "import", vector, "--model", MODEL, "-o", tmp_path / "b.safetensors", parts=("of this project already",))
    refused(capfd, "import", tmp_path / "v.gguf", "--model", MODEL, "-o", tmp_path / "b.pt", parts=("--out=", ".safetensors"))
    refused(capfd, "import", tmp_path / "v.gguf", "--model", MODEL, "-o", tmp_path / "b.safetensors", parts=("no such file",))
    assert contents(tmp_path) == before
