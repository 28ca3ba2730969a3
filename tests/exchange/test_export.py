"""Exported files, read back by plain readers of each format, and refusals."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors import safe_open

import yapo
from tests.hub_server import COMMIT, put_in_cache
from tests.refusals import contents, refused
from yapo.errors import YapoError
from yapo.exchange.export import Export, export
from yapo.exchange.formats import format_names, get_format
from yapo.exchange.formats.gguf import RECORD
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.methods.dspa.map import MAP_CONVENTION

from .vectors import LAYER, PROMPTS, dense_vector, sparse_vector

LOST_FIRST = "the first token is steered too"


def named(folder: Path, to: str) -> Path:
    return folder / f"v{get_format(to).suffix}"


def measured(lm: LanguageModel, folder: Path, to: str, vector: yapo.SteeringVector, **options: Any) -> Export:
    tokenizer = lm.tokenizer.tokenizer
    return export(
        vector, named(folder, to), to, model=lm.model, tokenizer=tokenizer, prompts=PROMPTS, allow_pickle=True, **options
    )


def test_every_format_is_a_module() -> None:
    assert format_names() == ["easysteer", "gguf", "hf", "lm-eval", "neuronpedia", "svec"]
    with pytest.raises(YapoError, match=r"^to=guff: unknown format; did you mean gguf\? choose among easysteer, gguf, hf"):
        get_format("guff")


def test_gguf(gemma: LanguageModel, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    vector = dense_vector()
    written = measured(gemma, tmp_path, "gguf", vector)
    reader = gguf.GGUFReader(tmp_path / "v.gguf")
    assert reader.get_field("general.architecture").contents() == "controlvector"
    assert reader.get_field("controlvector.model_hint").contents() == "gemma2"
    assert reader.get_field("controlvector.layer_count").contents() == 1
    (tensor,) = reader.tensors
    assert (tensor.name, tensor.tensor_type.name, tensor.shape.tolist()) == (f"direction.{LAYER}", "F32", [32])
    torch.testing.assert_close(torch.from_numpy(tensor.data.copy()), 1.5 * vector.values, rtol=0, atol=0)
    record = json.loads(reader.get_field(RECORD).contents())
    assert written.direction.fidelity is not None and record["fidelity"]["kl"] == written.direction.fidelity.kl > 0
    assert record["lost"] == [LOST_FIRST]
    assert record["header"]["method"] == "caa"


def test_svec(gemma: LanguageModel, tmp_path: Path) -> None:
    vector = dense_vector()
    measured(gemma, tmp_path, "svec", vector, multiplier=-2.0)
    content = json.loads((tmp_path / "v.svec").read_text())
    assert content["model_type"] == "gemma2"
    assert torch.equal(torch.tensor(content["directions"]["1"]), -2.0 * vector.values[None])
    assert content["yapo"]["fidelity"]["prompts"] == len(PROMPTS)


def test_lm_eval(gemma: LanguageModel, tmp_path: Path) -> None:
    vector = dense_vector()
    written = measured(gemma, tmp_path, "lm-eval", vector)
    content = torch.load(tmp_path / "v.pt", weights_only=True)
    assert content.keys() == {"layers.1"}
    entry = content["layers.1"]
    assert torch.equal(entry.pop("steering_vector"), 1.5 * vector.values)
    assert entry == {"steering_coefficient": 1.0, "action": "add", "bias": None}
    assert written.files == [tmp_path / "v.pt", tmp_path / "v.lost.json"]
    assert json.loads((tmp_path / "v.lost.json").read_text())["lost"] == [LOST_FIRST]


def test_easysteer_leaves_out_the_first_token(gemma: LanguageModel, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    written = measured(gemma, tmp_path, "easysteer", dense_vector())
    (request,) = json.loads((tmp_path / "v.steering.json").read_text())["vectors"]
    assert request["apply"] == {"prompt": "all", "generation": "all", "exclude_prompt_positions": [0]}
    assert (request["source"], request["layers"], request["scale"]) == ("v.gguf", [LAYER], 1.0)
    assert written.direction.fidelity is not None and written.direction.fidelity.kl == 0.0
    assert str(written).endswith("Lost: nothing.\nMeasured: " + written.direction.measured + ".")
    measured(gemma, tmp_path, "easysteer", dense_vector(steer_bos=True))
    (request,) = json.loads((tmp_path / "v.steering.json").read_text())["vectors"]
    assert request["apply"] == {"prompt": "all", "generation": "all"}


def test_neuronpedia(gemma: LanguageModel, tmp_path: Path) -> None:
    vector = dense_vector(model="google/gemma-2-2b-it", model_digest="")
    measured(gemma, tmp_path, "neuronpedia", vector)
    body = json.loads((tmp_path / "v.json").read_text())
    assert torch.equal(torch.tensor(body.pop("vector")), 1.5 * vector.values)
    assert body == {
        "modelId": "gemma-2-2b-it",
        "layerNumber": LAYER,
        "hookType": "hook_resid_post",
        "vectorDefaultSteerStrength": 1.0,
        "vectorLabel": "v",
    }
    assert (tmp_path / "v.lost.json").exists()


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_a_hub_folder_steers_with_and_without_this_package(gemma: LanguageModel, sae: SAE, tmp_path: Path, space: str) -> None:
    vector = dense_vector() if space == "dense" else sparse_vector(sae)
    written = measured(gemma, tmp_path, "hf", vector, multiplier=2.0, sae=sae)
    kept = yapo.load_vector(tmp_path / "v" / "vector.safetensors")
    assert torch.equal(kept.values, vector.values) and kept.info.multiplier == 2.0
    card = (tmp_path / "v" / "README.md").read_text(encoding="utf-8")
    assert written.direction.measured in card
    (expression,) = re.findall(r"direction = (.*)\n", card)
    factor, name = re.fullmatch(r'(?:([\d.]+) \* )?file\.get_tensor\("(\w+)"\)', expression).groups()  # type: ignore[union-attr]
    with safe_open(tmp_path / "v" / "vector.safetensors", framework="pt") as file:
        direction = float(factor or 1) * file.get_tensor(name)
    assert torch.equal(direction, written.direction.values)
    refused(lambda: measured(gemma, tmp_path, "hf", vector, sae=sae), str(tmp_path / "v"), "exists already")


def test_a_sparse_vector_goes_out_as_its_stand_in(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    written = measured(gemma, tmp_path, "svec", sparse_vector(sae), sae=sae)
    fidelity = written.direction.fidelity
    assert fidelity is not None and fidelity.prompts == len(PROMPTS) // 2  # the other half made it
    assert written.direction.losses[1:] == [LOST_FIRST]
    dense = torch.arange(32.0)
    again = measured(gemma, tmp_path, "svec", replace(sparse_vector(sae), dense=dense), sae=sae)
    assert torch.equal(again.direction.values, dense)
    assert again.direction.fidelity is not None and again.direction.fidelity.prompts == len(PROMPTS)
    assert fidelity.kl < again.direction.fidelity.kl  # a made-up one is no good


def test_an_autoencoder_of_the_hub(gemma: LanguageModel, sae: SAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header names one in another user's cache: found in one's own, or given as RELEASE/ID; else told how it is had."""
    pytest.importorskip("sae_lens")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("YAPO_CACHE", str(tmp_path / "seen"))
    repo, own_id = "google/gemma-scope-2b-pt-res", "layer_1/width_16k/average_l0_102"
    (folder := tmp_path / "files" / own_id).mkdir(parents=True)
    parts = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    np.savez(folder / "params.npz", **{name: getattr(sae, name).numpy() for name in parts})
    place = f"/home/other/hub/models--google--gemma-scope-2b-pt-res/snapshots/{COMMIT}/{own_id}/params.npz"
    vector = sparse_vector(sae)
    vector = replace(vector, info=replace(vector.info, sae=place))
    called = f"gemma-scope-2b-pt-res/{own_id}"
    refused(lambda: measured(gemma, tmp_path, "svec", vector), place, f"run `hf download {repo} {own_id}/params.npz`")
    refused(lambda: measured(gemma, tmp_path, "svec", vector, sae=called), f"run `yapo download {called}` first")
    put_in_cache(tmp_path, repo, tmp_path / "files")
    found = measured(gemma, tmp_path, "svec", vector)
    assert torch.equal(found.direction.values, measured(gemma, tmp_path, "svec", vector, sae=called).direction.values)


def test_without_the_model_nothing_is_measured(tmp_path: Path) -> None:
    written = export(dense_vector(), tmp_path / "v.svec", "svec")
    content = json.loads((tmp_path / "v.svec").read_text())
    assert (content["model_type"], content["yapo"]["fidelity"]) == ("unknown", None)
    assert str(written).endswith("Measured: not measured; give the model to measure it.")


def test_the_architecture_is_read_where_the_model_lies(tmp_path: Path) -> None:
    export(dense_vector(model="world/model"), tmp_path / "v.svec", "svec")
    assert json.loads((tmp_path / "v.svec").read_text())["model_type"] == "gemma2"


@pytest.mark.parametrize("to", ["gguf", "svec", "lm-eval", "easysteer", "neuronpedia"])
def test_the_same_vector_gives_the_same_bytes(tmp_path: Path, to: str) -> None:
    for folder in ("a", "b"):
        export(dense_vector(), named(tmp_path / folder, to), to, allow_pickle=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


def test_what_cannot_be_exported(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    vector, sparse, tokenizer = dense_vector(), sparse_vector(sae), gemma.tokenizer.tokenizer
    prompt_dependent = dense_vector(method="dspa", space="map", convention=MAP_CONVENTION)

    def refuses(vector: yapo.SteeringVector, to: str, *parts: str, name: str = "", **options: Any) -> None:
        path = tmp_path / (name or named(tmp_path, to).name)
        refused(lambda: export(vector, path, to, **options), *parts)

    refuses(prompt_dependent, "gguf", "to=gguf", "dspa depends on the prompt", "yapo.steer")
    refuses(dense_vector(layer=0), "gguf", "to=gguf", "llama.cpp refuses a control vector for block 0")
    refuses(vector, "lm-eval", "to=lm-eval", "a pickle can run code", "allow_pickle")
    refuses(vector, "gguf", "v.bin", "ends in .gguf", name="v.bin")
    refuses(vector, "svec", "multiplier=0", multiplier=0)
    refuses(sparse, "svec", "has no dense stand-in", "give the model")
    with_dense = replace(sparse, dense=torch.zeros(32))
    refuses(with_dense, "svec", "has a dense stand-in for λ=1.5 only", "give the model", multiplier=2.0)
    refuses(vector, "svec", "one without the other", model=gemma.model)
    both: dict[str, Any] = {"model": gemma.model, "tokenizer": tokenizer}
    refuses(vector, "svec", "prompts: none given", prompts=[], **both)
    refuses(sparse, "svec", "prompts: one", prompts=PROMPTS[:1], sae=sae, **both)
    refuses(replace(vector, values=torch.zeros(31)), "svec", "31 entries", prompts=PROMPTS, **both)
    assert list(tmp_path.iterdir()) == []


def test_layer_0_has_other_formats(tmp_path: Path) -> None:
    vector = dense_vector(layer=0)
    assert json.loads(export(vector, tmp_path / "v.svec", "svec").files[0].read_text())["directions"].keys() == {"0"}
