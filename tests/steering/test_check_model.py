"""Models that a vector may steer: those with the weights it was made for, wherever they were loaded from."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModelForCausalLM, PreTrainedModel

import yapo
from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.models.checkpoint import weights_digest
from yapo.models.language_model import load_language_model
from yapo.models.sae import SAE
from yapo.models.tokenizer import ChatTokenizer
from yapo.steering.vector import SteeringVector, VectorInfo

from ..conftest import tiny_model
from ..hub_server import COMMIT, put_in_cache
from .test_conversation import saes
from .test_conversation import vector as map_vector

OTHER = "f" * 40
IDS = torch.tensor([[2, 9, 11, 30, 7]])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the hub's cache, which is empty."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def save(kind: str, tokenizer: ChatTokenizer, folder: Path) -> Path:
    tiny_model(kind, len(tokenizer.tokenizer)).save_pretrained(folder)
    tokenizer.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def files(tokenizer: ChatTokenizer, tmp_path: Path) -> Path:
    """The model that vectors are made for."""
    return save("llama", tokenizer, tmp_path / "files")


@pytest.fixture
def others(tokenizer: ChatTokenizer, tmp_path: Path) -> Path:
    """Another model, as wide and as deep."""
    return save("qwen3", tokenizer, tmp_path / "others")


@pytest.fixture(params=["dense", "map"])
def vector(request: pytest.FixtureRequest, sae: SAE) -> SteeringVector:
    """Made for ``own/tiny`` at ``COMMIT``."""
    if request.param == "map":
        made = map_vector(sae)
        return replace(made, info=replace(made.info, model="own/tiny", model_digest=COMMIT))
    return SteeringVector(torch.ones(32), VectorInfo("caa", "dense", 1, "own/tiny", COMMIT))


def by_name(home: Path, name: str, revision: str = "main") -> PreTrainedModel:
    """A model of the hub as transformers gives it."""
    here = {"cache_dir": home / "hub", "local_files_only": True}
    # Where peft is installed, transformers looks for an adapter too, by settings of its own.
    model = AutoModelForCausalLM.from_pretrained(name, revision=revision, **here, adapter_kwargs=here)
    assert model.config.name_or_path == name
    return model.eval()


def from_folder(folder: Path | str) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def accepted(model: PreTrainedModel, vector: SteeringVector, sae: SAE) -> None:
    """Steered, and without a warning."""
    before = model(input_ids=IDS).logits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with yapo.steer(model, vector, 2.0, sae=None if vector.payload is None else saes(sae)):
            assert not torch.equal(model(input_ids=IDS).logits, before)


def refused(model: PreTrainedModel, vector: SteeringVector, *parts: str) -> None:
    with pytest.raises(YapoError) as error, yapo.steer(model, vector):
        pass
    line = str(error.value)
    assert "\n" not in line
    assert [part for part in parts if part not in line] == []


def made_for(vector: SteeringVector, model: str, digest: str) -> SteeringVector:
    return replace(vector, info=replace(vector.info, model=model, model_digest=digest))


def test_a_hub_model_as_the_pipeline_loads_it(home: Path, files: Path, vector: SteeringVector, sae: SAE) -> None:
    snapshot = put_in_cache(home, "own/tiny", files)
    lm = load_language_model(ModelConfig(path="own/tiny"), device="cpu")
    assert (lm.source, lm.digest, lm.model.config.name_or_path) == ("own/tiny", COMMIT, str(snapshot))
    accepted(lm.model, vector, sae)


@pytest.mark.usefixtures("home")
def test_a_snapshot_of_a_cache_elsewhere(
    tmp_path: Path, files: Path, vector: SteeringVector, sae: SAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = put_in_cache(tmp_path / "elsewhere", "own/tiny", files)
    accepted(from_folder(snapshot), vector, sae)
    monkeypatch.chdir(snapshot.parent)
    accepted(from_folder(COMMIT), vector, sae)


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_hub_model_by_its_name(home: Path, files: Path, vector: SteeringVector, sae: SAE, revision: str) -> None:
    put_in_cache(home, "own/tiny", files)
    accepted(by_name(home, "own/tiny", revision), vector, sae)


def test_another_commit(home: Path, others: Path, vector: SteeringVector) -> None:
    snapshot = put_in_cache(home, "own/tiny", others, OTHER)
    fix = f"load own/tiny at revision {COMMIT}, or make a vector for this model"
    for model in (from_folder(snapshot), by_name(home, "own/tiny")):
        refused(model, vector, f"made for own/tiny ({COMMIT})", f"{model.config.name_or_path} has other weights ({OTHER})", fix)


def test_another_model(home: Path, files: Path, others: Path, vector: SteeringVector) -> None:
    put_in_cache(home, "own/tiny", files)
    snapshot = put_in_cache(home, "other/model", others, OTHER)
    for model in (from_folder(snapshot), by_name(home, "other/model")):
        refused(model, vector, f"made for own/tiny ({COMMIT})", f"{model.config.name_or_path} has other weights ({OTHER})")


def test_a_model_that_was_renamed_on_the_hub(home: Path, files: Path, vector: SteeringVector, sae: SAE) -> None:
    """A commit says what is in it, whatever the repository is called now."""
    put_in_cache(home, "owner/tiny", files)
    accepted(by_name(home, "owner/tiny"), vector, sae)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("made", [("own/tiny", COMMIT), ("some/folder", "0123456789ab"), ("own/tiny", "")])
def test_names_decide_where_the_cache_knows_neither(files: Path, vector: SteeringVector, sae: SAE, made: tuple[str, str]) -> None:
    model, vector = from_folder(files), made_for(vector, *made)
    model.config.name_or_path = "other/model"
    refused(model, vector, f"made for {made[0]} ({made[1]})", "whether other/model has the same weights; load ")
    model.config.name_or_path = made[0]
    accepted(model, vector, sae)
    model.config.name_or_path = ""  # made in memory
    accepted(model, vector, sae)


def test_a_commit_that_the_model_itself_tells(home: Path, files: Path, vector: SteeringVector, sae: SAE) -> None:
    """Kept with the settings by some releases of transformers; the cache is then not asked."""
    put_in_cache(home, "own/tiny", files, OTHER)
    model = by_name(home, "own/tiny")
    model.config._commit_hash = COMMIT
    accepted(model, vector, sae)
    model.config._commit_hash = OTHER
    refused(model, vector, f"own/tiny has other weights ({OTHER})")


def test_main_that_has_moved_on(home: Path, files: Path, others: Path, vector: SteeringVector, sae: SAE) -> None:
    """A model loaded by name does not say its commit; a folder does."""
    snapshot = put_in_cache(home, "own/tiny", files)
    newer = put_in_cache(home, "own/tiny", others, OTHER)
    model = by_name(home, "own/tiny", COMMIT)
    with pytest.warns(UserWarning, match=f"holds 2 commits of own/tiny, .*; load it from {snapshot} to be sure") as told:
        yapo.steer(model, vector, sae=saes(sae) if vector.payload else None).__enter__()
    assert len(told) == 1
    accepted(from_folder(snapshot), vector, sae)
    refused(from_folder(newer), vector, "has other weights")
    accepted(by_name(home, "own/tiny"), made_for(vector, "own/tiny", OTHER), sae)


def test_a_hub_model_copied_to_a_folder(home: Path, files: Path, others: Path, vector: SteeringVector, sae: SAE) -> None:
    copy = from_folder(files)
    refused(copy, vector, f"made for own/tiny ({COMMIT})", f"whether {files} has the same weights", f"at revision {COMMIT}")
    snapshot = put_in_cache(home, "own/tiny", files)
    accepted(copy, vector, sae)
    refused(from_folder(others), vector, f"{others} has other weights ({weights_digest(others)})")
    (snapshot / "model.safetensors").unlink()  # a download that broke off
    refused(copy, vector, f"whether {files} has the same weights")


def test_a_folder_that_bears_the_name_of_a_hub_model(
    home: Path, others: Path, vector: SteeringVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(others, home / "own" / "tiny")
    monkeypatch.chdir(home)
    refused(from_folder("own/tiny"), vector, f"made for own/tiny ({COMMIT})", "whether own/tiny has the same weights")


def test_a_vector_of_a_folder(
    home: Path, files: Path, others: Path, vector: SteeringVector, sae: SAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its model under another path, in a copy, or in the cache, by folder and by name."""
    lm = load_language_model(ModelConfig(path=str(files)), device="cpu")
    vector = made_for(vector, lm.source, lm.digest)
    accepted(lm.model, vector, sae)
    shutil.copytree(files, home / "copy")
    monkeypatch.chdir(home / "copy")
    for folder in ("../files", ".", put_in_cache(home, "own/tiny", files)):
        accepted(from_folder(folder), vector, sae)
    accepted(by_name(home, "own/tiny"), vector, sae)
    put_in_cache(home, "other/model", others, OTHER)
    for model in (from_folder(others), by_name(home, "other/model")):
        refused(
            model, vector, f"made for {files} ({lm.digest})", f"has other weights ({weights_digest(others)}); load the weights it"
        )
