"""A short training on a synthetic sparse dictionary: quality, format, determinism; and the states that training reads."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from yapo.config import SaeTrainConfig
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import check_fits, load_sae
from yapo.models.sae_quality import measure
from yapo.models.sae_training import choose_texts, residual_states, train_sae

from ..refusals import refused

D_MODEL, WIDTH, LAYER = 16, 64, 2
CONFIG = SaeTrainConfig(
    seed=7, width=WIDTH, k=4, steps=300, batch_size=256, lr=1e-2, warmup_steps=20, decay_steps=150, dead_after=10
)
SHORT = replace(CONFIG, steps=20, warmup_steps=5, decay_steps=10)


@pytest.fixture(scope="module")
def sae_lens() -> ModuleType:
    return importlib.import_module("sae_lens")


@pytest.fixture(scope="module")
def states() -> Tensor:
    """Sums of about two of 64 random directions, far from the origin as residual streams are."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(WIDTH, D_MODEL, generator=generator), dim=-1)
    active = torch.rand(10_000, WIDTH, generator=generator) < 2 / WIDTH
    return 9.0 * (active * (1.0 + torch.rand(10_000, WIDTH, generator=generator))) @ directions + 5.0


@pytest.fixture(scope="module")
def trained(states: Tensor, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("sae") / "layer_2"
    return folder, train_sae(states[:9000], CONFIG, folder, "tiny", LAYER)[1]


def test_explains_states_it_was_not_trained_on(trained: tuple[Path, list[dict[str, float]]], states: Tensor) -> None:
    report = measure(load_sae(trained[0]), [states[9000:]])
    assert report.explained_variance > 0.8  # one training step reaches 0.1
    assert 3.0 < report.mean_l0 < 5.0
    assert report.dead_fraction < 0.35


def test_the_curve_falls_and_says_where_it_is(trained: tuple[Path, list[dict[str, float]]]) -> None:
    _, curve = trained
    assert [row["step"] for row in curve] == list(range(3, 301, 3))
    assert [row["tokens"] for row in curve] == [256 * row["step"] for row in curve]
    assert curve[-1]["loss"] < 0.3 * curve[0]["loss"]
    assert curve[-1]["explained_variance"] > 0.8 > curve[0]["explained_variance"]
    assert curve[-1]["l0"] == 4.0
    assert max(row["lr"] for row in curve) == CONFIG.lr
    assert 0 < curve[-1]["lr"] < 0.02 * CONFIG.lr


def test_folder_loads_equally_here_and_in_sae_lens(
    trained: tuple[Path, list[dict[str, float]]], states: Tensor, sae_lens: ModuleType
) -> None:
    folder, _ = trained
    ours, theirs = load_sae(folder), sae_lens.SAE.load_from_disk(folder)
    with torch.no_grad():
        s, reconstruction = theirs.encode(states[:500]), theirs(states[:500])
    torch.testing.assert_close(ours.encode(states[:500]), s, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours.decode(ours.encode(states[:500])), reconstruction, rtol=1e-5, atol=1e-4)


def test_folder_says_what_it_belongs_to(trained: tuple[Path, list[dict[str, float]]]) -> None:
    folder, _ = trained
    assert sorted(path.name for path in folder.iterdir()) == ["cfg.json", "sae_weights.safetensors"]
    config = json.loads((folder / "cfg.json").read_text())
    assert list(config) == sorted(config)
    assert (config["architecture"], config["normalize_activations"]) == ("jumprelu", "none")
    assert config["metadata"]["hook_name"] == "blocks.2.hook_resid_post"
    assert (config["metadata"]["hook_layer"], config["metadata"]["model_name"]) == (LAYER, "tiny")
    check_fits(load_sae(folder), D_MODEL, LAYER)


def test_same_seed_same_files_and_callers_random_state_is_kept(states: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _, first = train_sae(states, SHORT, tmp_path / "a", "tiny", LAYER)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert train_sae(states, SHORT, tmp_path / "b", "tiny", LAYER)[1] == first
    train_sae(states, replace(SHORT, seed=SHORT.seed + 1), tmp_path / "c", "tiny", LAYER)
    a, b, c = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "abc")
    assert a == b
    assert a["sae_weights.safetensors"] != c["sae_weights.safetensors"]


def test_equals_sae_lens_own_fit(states: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop kept here for its curve does what ``SAETrainer.fit`` does."""
    train_sae(states, SHORT, tmp_path / "ours", "tiny", LAYER)
    monkeypatch.setattr("yapo.models.sae_training._fit", lambda trainer, *_: trainer.fit())
    train_sae(states, SHORT, tmp_path / "theirs", "tiny", LAYER)
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


def test_too_few_states_are_refused(states: Tensor, tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"sae\.train\.batch_size=256: only 100 tokens to train on"):
        train_sae(states[:100], CONFIG, tmp_path / "sae", "tiny", LAYER)
    assert not (tmp_path / "sae").exists()


@pytest.mark.parametrize("lr", [1e20, 1e38])
def test_a_training_that_diverges_leaves_nothing(states: Tensor, tmp_path: Path, lr: float) -> None:
    line = refused(
        lambda: train_sae(states, replace(SHORT, lr=lr), tmp_path / "sae", "tiny", LAYER), f"sae.train.lr={lr}: ", "lower it"
    )
    assert "step" in line
    assert not (tmp_path / "sae").exists()


TEXTS = [[1, 5, 6], [1, 7, 8, 9, 10, 11, 12, 13], [1, 14], [1, 5, 6, 7, 8]]


def test_texts_are_drawn_until_there_are_enough_tokens() -> None:
    drawn = choose_texts(TEXTS, 1000, seed=0)
    assert sorted(drawn) == sorted(TEXTS)
    assert choose_texts(TEXTS, 1000, seed=0) == drawn
    assert any(choose_texts(TEXTS, 1000, seed) != drawn for seed in range(1, 5))
    for most in range(1, 16):
        some = choose_texts(TEXTS, most, seed=0)
        assert some == drawn[: len(some)]
        sizes = [len(text) - 1 for text in drawn]
        assert len(some) == 1 or sum(sizes[: len(some)]) <= most
        assert len(some) == len(TEXTS) or sum(sizes[: len(some) + 1]) > most


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_states_equal_the_librarys_without_the_first_token(lm: LanguageModel, batch_size: int, tmp_path: Path) -> None:
    layer = 1
    states = residual_states(lm, layer, TEXTS, batch_size, tmp_path / "scratch")
    expected = []
    with torch.no_grad():
        for text in sorted(TEXTS, key=len):
            hidden = lm.model.model(input_ids=torch.tensor([text]), output_hidden_states=True).hidden_states
            expected.append(hidden[layer + 1][0, 1:])
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, torch.cat(expected), rtol=1e-4, atol=1e-5)
    assert list((tmp_path / "scratch").iterdir()) == []  # the file has no name, so nothing is left by a killed job


def test_a_place_where_states_cannot_be_kept(lm: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        YapoError, match=r"file: no room for 1\.\d+e-06 GB of states \(.+\); free some or lower sae\.train\.max_tok"
    ):
        residual_states(lm, 1, TEXTS, 4, tmp_path / "file")
