"""Folders of model files: sharded and whole ones load alike, and a missing part is named before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.models.checkpoint import model_folder
from yapo.models.language_model import LanguageModel, load_language_model

from ..hub_server import COMMIT, put_in_cache, python
from ..refusals import refused


def save(lm: LanguageModel, folder: Path, shard: str = "5GB") -> Path:
    lm.model.save_pretrained(folder, max_shard_size=shard)
    lm.tokenizer.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def sharded(gemma: LanguageModel, tmp_path: Path) -> Path:
    return save(gemma, tmp_path / "sharded", "60KB")


def test_sharded_weights_load_as_whole_ones(gemma: LanguageModel, sharded: Path) -> None:
    assert len(list(sharded.glob("*.safetensors"))) > 2
    loaded = load_language_model(ModelConfig(path=str(sharded), attention="eager"))
    theirs = dict(gemma.model.named_parameters())
    assert {name for name, _ in loaded.model.named_parameters()} == set(theirs)
    for name, parameter in loaded.model.named_parameters():
        assert torch.equal(parameter.cpu(), theirs[name]), name


def test_a_missing_shard_is_named(sharded: Path) -> None:
    shards = sorted(sharded.glob("*.safetensors"))
    shards[1].unlink()
    with pytest.raises(YapoError) as caught:
        load_language_model(ModelConfig(path=str(sharded)))
    assert str(caught.value) == (
        f"model.path={sharded}: {shards[1].name}, one of the {len(shards)} that model.safetensors.index.json names, is missing; "
        "download or copy the rest of it"
    )


def test_a_folder_has_no_revisions(sharded: Path) -> None:
    with pytest.raises(YapoError, match=r"model.revision=v1: .* is a folder, which has no revisions"):
        load_language_model(ModelConfig(path=str(sharded), revision="v1"))


def test_another_setting_names_the_model() -> None:
    with pytest.raises(YapoError, match=r"^judge.model=./nowhere: no such folder"):
        model_folder("./nowhere", key="judge.model")


HUB = "give a folder, or owner/name as the hub writes it"


@pytest.mark.parametrize(
    ("path", "revision", "parts"),
    [
        ("", "main", ("model.path=: no such folder",)),
        ("a" * 300, "main", ("no such folder", "a hub id")),
        ("a\0b", "main", (r"model.path=a\x00b: no such folder",)),
        ("a\nb", "main", (r"model.path=a\nb: no such folder",)),
        ("README.md", "main", ("model.path=README.md: no such folder",)),
        ("~/model", "main", ("model.path=~/model: no such folder",)),
        ("https://huggingface.co/google/gemma-2-2b-it", "main", ("no such folder", "a hub id")),
        ("own er/tiny", "main", ("model.path=own er/tiny: no such folder",)),
        ("owner/..", "main", ("model.path=owner/..", HUB)),
        ("owner/tiny--x", "main", ("model.path=owner/tiny--x", HUB)),
        ("owner/tiny.", "main", ("model.path=owner/tiny.", HUB)),
        ("owner/" + "a" * 100, "main", ("model.path=owner/aaa", HUB)),
        ("owner/tiny", "", ("model.revision=: no branch",)),
        ("owner/tiny", "../../x", ("model.revision=../../x: no branch",)),
        ("owner/tiny", "/etc/passwd", ("model.revision=/etc/passwd: no branch",)),
        ("owner/tiny", "v 2", ("model.revision=v 2: no branch",)),
        ("owner/tiny", "main\n", (r"model.revision=main\n: no branch",)),
        ("owner/tiny", "v" * 300, ("model.revision=vvv", "no branch")),
    ],
)
def test_names_that_no_model_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, revision: str, parts: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    refused(lambda: model_folder(path, revision), *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_model_of_the_hub_is_the_folder_it_was_made_from(gemma: LanguageModel, tmp_path: Path) -> None:
    """Loaded by id from a cache, in a process without a network: the same logits, and the commit as its digest."""
    files = save(gemma, tmp_path / "files", "60KB")
    put_in_cache(tmp_path, "owner/tiny", files)
    done = python(
        "import json, torch\n"
        "from yapo.config import ModelConfig\n"
        "from yapo.models.language_model import causal, load_language_model\n"
        "lm = load_language_model(ModelConfig(path='owner/tiny', revision='main'))\n"
        "ids = torch.tensor([lm.tokenizer.prompt('foul')], device=lm.device)\n"
        "positions, allowed = causal(torch.ones_like(ids, dtype=torch.bool))\n"
        "masks = lm.masks(allowed, positions, positions)\n"
        "logits = lm.logits(lm.blocks(lm.embed(ids), 0, lm.n_layers, positions, masks))\n"
        "print(json.dumps([lm.source, lm.digest, lm.tokenizer.tokenizer.name_or_path, ids.tolist(), logits[0, -1].tolist()]))\n",
        tmp_path,
        HF_HUB_OFFLINE="1",
    )
    assert done.returncode == 0, done.stderr
    source, digest, name, ids, logits = json.loads(done.stdout)
    assert (source, digest, name) == ("owner/tiny", COMMIT, "owner/tiny")
    assert ids == [gemma.tokenizer.prompt("foul")]
    expected = gemma.model(input_ids=torch.tensor(ids)).logits[0, -1]
    torch.testing.assert_close(torch.tensor(logits), expected, rtol=1e-4, atol=1e-4)
