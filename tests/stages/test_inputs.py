"""Inputs of stages: every missing, damaged or unfitting input is one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from yapo.config import Config, DataConfig, DiscoveryConfig, ModelConfig, PromptConfig, SaeConfig
from yapo.data.schema import write_items
from yapo.data.split import split_facts
from yapo.errors import YapoError
from yapo.files import write_json, write_parquet
from yapo.models.sae import SAE
from yapo.paths import Paths
from yapo.stages.inputs import language_folder_of, prompt_format, read_items, read_layer, read_sae

from ..data.test_schema import items_table


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A study with a data stage done: Egypt and Morocco, four facts each."""
    config = Config(results=str(tmp_path))
    items = pd.concat([items_table(), items_table().assign(country="morocco")], ignore_index=True)
    write_items(Paths.of(config).items, items)
    write_parquet(Paths.of(config).split, split_facts(items, config.split))
    return config


def test_items_of_one_country_with_their_split(config: Config) -> None:
    items = read_items(config, "morocco")
    assert set(items["country"]) == {"morocco"}
    assert len(items) == 16
    assert items.index.tolist() == list(range(16))
    split = pd.read_parquet(Paths.of(config).split).set_index("question_id")["split"]
    assert (items["split"] == items["question_id"].map(split)).all()
    assert language_folder_of(items) == "arabic"


def test_unknown_country(config: Config) -> None:
    with pytest.raises(YapoError, match=r"country=moroco: unknown country; did you mean morocco\? choose among egypt, morocco"):
        read_items(config, "moroco")


@pytest.mark.parametrize("name", ["items", "split"])
def test_missing_and_truncated_tables(config: Config, name: str) -> None:
    path = getattr(Paths.of(config), name)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(YapoError, match=f"{path}: not a readable parquet file"):
        read_items(config, "egypt")
    path.unlink()
    with pytest.raises(YapoError, match=f"{path}: no such file; run the stage that makes it"):
        read_items(config, "egypt")


def test_the_layer_found_and_the_layer_configured(config: Config) -> None:
    write_json(Paths.of(config).layer, {"layer": 2, "select": "steerability"})
    assert read_layer(config) == 2
    config.discovery = DiscoveryConfig(layer=0)
    assert read_layer(config) == 0


@pytest.mark.parametrize("layer", [99, 0, -1])
def test_a_layer_that_was_no_candidate(config: Config, layer: int) -> None:
    write_json(Paths.of(config).layer, {"layer": layer})
    with pytest.raises(YapoError, match=rf"layer.json: layer {layer} is none of discovery.candidates=\[1, 2, 3\]; delete it"):
        read_layer(config)


def test_no_layer_yet(config: Config) -> None:
    with pytest.raises(YapoError, match=r"layer.json: no such file; run the stage that makes it"):
        read_layer(config)


@pytest.mark.parametrize("text", ["", "{", '{"layers": 2}', '{"layer": "two"}', '{"layer": null}', "[2]", "2", '{"layer": true}'])
def test_a_damaged_layer_file(config: Config, text: str) -> None:
    Paths.of(config).layer.write_text(text)
    with pytest.raises(YapoError, match=r"layer.json: (not valid JSON|names no layer).*delete it"):
        read_layer(config)


def write_sae(folder: Path, sae: SAE, layer: int) -> Path:
    folder.mkdir(parents=True)
    assert sae.threshold is not None
    arrays = {name: getattr(sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")}
    save_file(arrays, folder / "sae_weights.safetensors")
    settings = {
        "architecture": "jumprelu",
        "d_in": sae.d_model,
        "d_sae": sae.d_sae,
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "metadata": {"hook_name": f"blocks.{layer}.hook_resid_post"},
    }
    (folder / "cfg.json").write_text(json.dumps(settings))
    return folder


def test_autoencoders(config: Config, sae: SAE, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae" / "layer_1", sae, 1)
    config.sae = SaeConfig(path=str(tmp_path / "sae" / "layer_LAYER"))
    read = read_sae(config, 1, 32)
    assert read.digest == sae.digest
    assert torch.equal(read.W_dec, sae.W_dec)
    with pytest.raises(YapoError, match=r"sae.path=.*layer_2: no autoencoder for layer 2; choose discovery"):
        read_sae(config, 2, 32)
    with pytest.raises(YapoError, match=r"layer_1: made for residual width 32, but the model has 48"):
        read_sae(config, 1, 48)
    folder.rename(tmp_path / "sae" / "layer_3")
    with pytest.raises(YapoError, match=r"layer_3: made for layer 1, but layer 3 is steered"):
        read_sae(config, 3, 32)


def test_truncated_autoencoder(config: Config, sae: SAE, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae" / "layer_1", sae, 1)
    config.sae = SaeConfig(path=str(tmp_path / "sae" / "layer_LAYER"))
    weights = folder / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(YapoError, match=f"{weights}: damaged or not a safetensors file"):
        read_sae(config, 1, 32)


def test_templates_reach_the_prompts(config: Config) -> None:
    config.prompts = PromptConfig(mcq="{options}\n{question}", open_ended="Q: {question}")
    prompts = prompt_format(config)
    assert prompts.prompt("mcq", "q", ["a", "b"]) == "1) a\n2) b\nq"
    assert prompts.prompt("open_ended", "q", ["a", "b"]) == "Q: q"


def test_nothing_is_asked_of_the_defaults() -> None:
    """Settings that only say where things are, are not looked for before a stage needs them."""
    assert DataConfig(source="table", path="/nowhere.csv").path == "/nowhere.csv"
    assert ModelConfig(path="/nowhere").path == "/nowhere"
