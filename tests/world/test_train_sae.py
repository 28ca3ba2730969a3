"""A short training on a synthetic sparse dictionary: quality, format, determinism."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import check_fits, load_sae
from yapo.world.train_sae import RUN, SaeConfig, SaeReport, measure, train_sae

D_MODEL, WIDTH, LAYER = 16, 64, 2
CONFIG = SaeConfig(width=WIDTH, k=4, steps=300, batch=256, lr=1e-2, warmup=20, decay=150, dead_after=10)


@pytest.fixture(scope="module")
def sae_lens() -> ModuleType:
    return importlib.import_module("sae_lens")


@pytest.fixture(scope="module")
def activations() -> Tensor:
    """Rows that are sums of about two of 64 random directions, far from the origin as residual streams are."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(WIDTH, D_MODEL, generator=generator), dim=-1)
    active = torch.rand(10_000, WIDTH, generator=generator) < 2 / WIDTH
    return 9.0 * (active * (1.0 + torch.rand(10_000, WIDTH, generator=generator))) @ directions + 5.0


@pytest.fixture(scope="module")
def trained(activations: Tensor, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SaeReport]:
    folder = tmp_path_factory.mktemp("sae") / "layer_2"
    return folder, train_sae(activations, CONFIG, folder, "tiny", LAYER)


def test_explains_rows_it_was_not_trained_on(trained: tuple[Path, SaeReport]) -> None:
    _, report = trained
    assert report.n_tokens == 3 * RUN + 16  # runs 9, 19 and 29, and what there is of run 39
    assert report.explained_variance > 0.8  # one training step reaches 0.1
    assert 3.0 < report.mean_l0 < 5.0
    assert report.dead_fraction < 0.35


def test_folder_loads_equally_here_and_in_sae_lens(
    trained: tuple[Path, SaeReport], activations: Tensor, sae_lens: ModuleType
) -> None:
    folder, _ = trained
    ours, theirs = load_sae(folder), sae_lens.SAE.load_from_disk(folder)
    with torch.no_grad():
        s, reconstruction = theirs.encode(activations[:500]), theirs(activations[:500])
    torch.testing.assert_close(ours.encode(activations[:500]), s, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours.decode(ours.encode(activations[:500])), reconstruction, rtol=1e-5, atol=1e-4)


def test_folder_says_what_it_belongs_to(trained: tuple[Path, SaeReport]) -> None:
    folder, _ = trained
    assert sorted(path.name for path in folder.iterdir()) == ["cfg.json", "sae_weights.safetensors"]
    config = json.loads((folder / "cfg.json").read_text())
    assert list(config) == sorted(config)
    assert (config["architecture"], config["normalize_activations"]) == ("jumprelu", "none")
    assert config["metadata"]["hook_name"] == "blocks.2.hook_resid_post"
    assert (config["metadata"]["hook_layer"], config["metadata"]["model_name"]) == (LAYER, "tiny")
    check_fits(load_sae(folder), D_MODEL, LAYER)


def test_same_seed_same_files_and_callers_random_state_is_kept(activations: Tensor, tmp_path: Path) -> None:
    short = replace(CONFIG, steps=20, warmup=5, decay=10)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = train_sae(activations, short, tmp_path / "a", "tiny", LAYER)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert train_sae(activations, short, tmp_path / "b", "tiny", LAYER) == first
    train_sae(activations, replace(short, seed=short.seed + 1), tmp_path / "c", "tiny", LAYER)
    a, b, c = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "abc")
    assert a == b
    assert a["sae_weights.safetensors"] != c["sae_weights.safetensors"]


def test_report_equals_the_definitions(trained: tuple[Path, SaeReport], activations: Tensor) -> None:
    sae, rows = load_sae(trained[0]), activations[:300]
    s = sae.encode(rows)
    error, spread = rows - sae.decode(s), rows - rows.mean(dim=0)
    report = measure(sae, rows)
    assert report.explained_variance == pytest.approx(float(1 - error.square().sum() / spread.square().sum()), abs=1e-5)
    assert report.mean_l0 == pytest.approx(sum(int((row > 0).sum()) for row in s) / 300)
    assert report.dead_fraction == pytest.approx(sum(not (column > 0).any() for column in s.T) / WIDTH)


def test_too_few_rows_are_refused(activations: Tensor, tmp_path: Path) -> None:
    with pytest.raises(YapoError, match="100 rows to train on, 2560 needed"):
        train_sae(activations[:100], CONFIG, tmp_path / "sae", "tiny", LAYER)
    assert not (tmp_path / "sae").exists()
