"""Autoencoders by release: names are checked before a download, and every format ends as the function its authors publish."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from yapo.config import SaeConfig
from yapo.errors import YapoError
from yapo.models.sae import load_sae
from yapo.models.sae_release import listed, named, neuronpedia, releases

from ..hub_server import COMMIT, Hub, python, serving

D_MODEL, D_SAE, K, THETA = 12, 40, 8, 0.1
GEMMA = ("gemma-scope-2b-pt-res", "layer_LAYER/width_65k/average_l0_68")
LLAMA = ("llama_scope_lxr_8x", "lLAYERr_8x")
QWEN, QWEN_REPO = ("qwen-scope-3-8b-base-w64k-l50", "layerLAYER"), "Qwen/SAE-Res-Qwen3-8B-Base-W64K-L0_50"
DICTIONARY = ("qwen2.5-7b-instruct-andyrdt", "resid_post_layer_LAYER_trainer_1")
CONVERTED = [(LLAMA, 12), (DICTIONARY, 15), (QWEN, 3)]
FETCH = """
import json, sys
from pathlib import Path
from yapo.config import SaeConfig
from yapo.errors import YapoError
from yapo.models.sae_release import fetch, find, listed
entry = listed(SaeConfig(path="", release={release!r}, id={id!r}), {layer})
before = find(entry)
try:
    path, commit = fetch(entry)
    assert find(entry) == path
    print(json.dumps([str(before), str(path), commit, "sae_lens" in sys.modules]))
except YapoError as error:
    print(json.dumps([str(error)]))
"""
READ = """
from yapo.models.sae import load_sae
load_sae({path!r})
print(json.dumps("sae_lens" in sys.modules))
"""


def release(names: tuple[str, str], **changes: str) -> SaeConfig:
    return SaeConfig(**{"path": "", "release": names[0], "id": names[1], **changes})


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "W_enc": torch.randn(D_MODEL, D_SAE, generator=generator) / D_MODEL**0.5,
        "b_enc": 0.3 * torch.randn(D_SAE, generator=generator),
        "W_dec": torch.randn(D_SAE, D_MODEL, generator=generator) / D_SAE**0.5,
        "b_dec": torch.randn(D_MODEL, generator=generator),
    }


def fetched(config: SaeConfig, layer: int, home: Path, hub: Hub | None) -> list[object]:
    done = python(FETCH.format(release=config.release, id=config.id, layer=layer), home, hub)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_entries_of_the_list() -> None:
    entry = listed(release(GEMMA), 15)
    assert (entry.repo.name, entry.path) == ("google/gemma-scope-2b-pt-res", "layer_15/width_65k/average_l0_68")
    entry = listed(release(LLAMA), 7)
    assert (entry.repo.name, entry.path) == ("fnlp/Llama3_1-8B-Base-LXR-8x", "Llama3_1-8B-Base-L7R-8x")
    entry = listed(release(("gemma-scope-9b-pt-res-canonical", "layer_LAYER/width_131k/canonical")), 28)
    assert entry.path == "layer_28/width_131k/average_l0_98"


@pytest.mark.parametrize(
    ("config", "layer", "message"),
    [
        (release(GEMMA), 14, r"sae.id=layer_14/width_65k/average_l0_68: .* did you mean layer_14/width_65k/average_l0_"),
        (release(GEMMA, release="gemma-scope-2b-res"), 15, r"sae.release=gemma-scope-2b-res: no .*mean .*gemma-scope-2b-pt-res"),
        (release(GEMMA, release="?"), 15, r"sae.release=\?: no such release; all are listed on https"),
        (release(GEMMA, release="gemma-scope-2b-pt-mlp", id="layer_LAYER/width_65k/average_l0_72"), 0, "does not read"),
        (release(GEMMA, id="embedding/width_4k/average_l0_6"), 0, "does not read the output of a block"),
    ],
)  # fmt: skip
def test_names_are_checked(config: SaeConfig, layer: int, message: str) -> None:
    with pytest.raises(YapoError, match=message):
        listed(config, layer)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"release": "r", "id": "i"}, "sae.release=r: give it or sae.path, not both"),
        ({"path": ""}, "sae.path=: give a path, or sae.release and sae.id"),
        ({"path": "", "release": "r"}, "sae.id=: goes together with sae.release"),
        ({"id": "i"}, "sae.id=i: goes together with sae.release"),
        ({"min_explained_variance": 1.0}, "sae.min_explained_variance=1.0: below 1"),
    ],
)
def test_impossible_settings(values: dict[str, object], message: str) -> None:
    with pytest.raises(YapoError, match=f"^{message}"):
        SaeConfig(**values)  # type: ignore[arg-type]


def test_gemma_scope(tmp_path: Path) -> None:
    """The file as published, read where the hub's client put it; sae-lens is not imported, and the layer is known."""
    files = tmp_path / "files"
    (folder := files / "layer_15" / "width_65k" / "average_l0_68").mkdir(parents=True)
    threshold = 2 * torch.rand(D_SAE, generator=torch.Generator().manual_seed(3))
    arrays = weights() | {"threshold": threshold}
    np.savez(folder / "params.npz", **{name: tensor.numpy() for name, tensor in arrays.items()})
    with serving(Hub(repos={"google/gemma-scope-2b-pt-res": files})) as hub:
        first = fetched(release(GEMMA), 15, tmp_path, hub)
        assert len([line for line in hub.asked if line.startswith("GET google")]) == 1
    before, path, commit, slow = first
    assert (before, commit, slow) == ("None", COMMIT, False)
    code = FETCH.format(release=GEMMA[0], id=GEMMA[1], layer=15) + READ.format(path=path)
    assert [json.loads(line) for line in python(code, tmp_path).stdout.splitlines()] == [[path, path, COMMIT, False], False]
    h = torch.randn(5, D_MODEL, generator=torch.Generator().manual_seed(4))
    pre = h @ arrays["W_enc"] + arrays["b_enc"]
    same(str(path), h, torch.where(pre > threshold, pre.relu(), 0.0), arrays, 15, "jumprelu")


NAMED = """
from yapo.errors import YapoError
from yapo.models.sae_places import named_sae
try:
    sae = named_sae({name!r})
    print(sae.layer, sae.d_sae, sae.source)
except YapoError as error:
    print(error)
"""


def test_a_name_on_the_hub_stands_for_a_path_once_it_is_downloaded(tmp_path: Path) -> None:
    (folder := tmp_path / "files" / "layer_15" / "width_65k" / "average_l0_68").mkdir(parents=True)
    np.savez(folder / "params.npz", **{n: t.numpy() for n, t in weights().items()}, threshold=np.ones(D_SAE, dtype=np.float32))
    name = f"{GEMMA[0]}/layer_15/width_65k/average_l0_68"
    with serving(Hub(repos={"google/gemma-scope-2b-pt-res": tmp_path / "files"})) as hub:
        before = python(NAMED.format(name=name), tmp_path, hub).stdout
        assert before == f"sae={name}: not downloaded yet; run `yapo download {name}` first\n"
        assert hub.asked == []
        done = python(f"from yapo.cli.app import main; main(['download', {name!r}])", tmp_path, hub)
        assert done.returncode == 0 and COMMIT[:12] in done.stdout, done.stderr
    after = python(NAMED.format(name=name), tmp_path)
    assert after.stdout.startswith(f"15 {D_SAE} "), after.stderr


def test_names_that_no_list_has() -> None:
    assert named("no-such-release/layer_1") is None
    assert named("gemma-scope-2b-pt-res") is None
    with pytest.raises(YapoError, match=r"no id in the release gemma-scope-2b-pt-res|no such id|did you mean"):
        named("gemma-scope-2b-pt-res/layer_15/width_65k/average_l0_1")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[object]]]:
    """A cache, and what one process (importing sae-lens takes seconds) fetched into it from three repositories."""
    home = tmp_path_factory.mktemp("hub")
    repos = {"fnlp/Llama3_1-8B-Base-LXR-8x": llama_scope, "andyrdt/saes-qwen2.5-7b-instruct": dictionary, QWEN_REPO: too_small}
    for name, write in repos.items():
        write(home / "files" / name)
    with serving(Hub(repos={name: home / "files" / name for name in repos})) as hub:
        code = "".join(FETCH.format(release=names[0], id=names[1], layer=layer) for names, layer in CONVERTED)
        done = python(code, home, hub)
    lines = done.stdout.splitlines()
    assert len(lines) == len(CONVERTED), done.stderr
    return home, {names[0]: json.loads(line) for (names, _), line in zip(CONVERTED, lines, strict=True)}


@pytest.mark.slow
def test_other_formats_are_converted_once(converted: tuple[Path, Any]) -> None:
    home, lines = converted
    code = "".join(FETCH.format(release=names[0], id=names[1], layer=layer) for names, layer in CONVERTED[:2])
    again = python(code, home).stdout.splitlines()
    for (names, _), line in zip(CONVERTED[:2], again, strict=True):
        before, path, commit, slow = lines[names[0]]
        assert (before, commit, slow) == ("None", COMMIT, True)
        assert str(home / "assets" / "yapo") in path
        assert json.loads(line) == [path, path, COMMIT, False]


@pytest.mark.slow
def test_llama_scope(converted: tuple[Path, Any]) -> None:
    """The codes of c·h that pass c·θ, decoded and divided by c, with c = √d / mean ‖h‖; all of it folded into the weights."""
    _, lines = converted
    arrays, c = weights(), llama_scale()
    h = torch.randn(5, D_MODEL, generator=torch.Generator().manual_seed(4)) / c
    pre = c * h @ arrays["W_enc"] + arrays["b_enc"]
    codes = torch.where(pre > c * THETA, pre.relu(), 0.0)
    scaled = {**arrays, "W_dec": arrays["W_dec"] / c, "b_dec": arrays["b_dec"] / c}
    same(lines[LLAMA[0]][1], h, codes, scaled, 12, "jumprelu")


@pytest.mark.slow
def test_dictionary_learning(converted: tuple[Path, Any]) -> None:
    """A TopK autoencoder of the format that the library dictionary_learning writes."""
    _, lines = converted
    arrays = weights()
    h = torch.randn(5, D_MODEL, generator=torch.Generator().manual_seed(4))
    pre = (h - arrays["b_dec"]) @ arrays["W_enc"] + arrays["b_enc"]
    top = pre.topk(K)
    codes = torch.zeros_like(pre).scatter(-1, top.indices, top.values.relu())
    same(lines[DICTIONARY[0]][1], h, codes, arrays, 15, "topk")


@pytest.mark.slow
def test_weights_of_another_shape_than_the_release_says(converted: tuple[Path, Any]) -> None:
    _, lines = converted
    (message,) = lines[QWEN[0]]
    assert message.startswith("sae.id=layer3: SAELens cannot load it (")
    assert message.endswith("choose another of qwen-scope-3-8b-base-w64k-l50")
    assert "\n" not in message


def llama_scale() -> float:
    (c,) = (entry["norm_scaling_factor"] for entry in releases()[LLAMA[0]]["saes"] if entry["id"] == "l12r_8x")
    return float(c)


def transposed() -> dict[str, Tensor]:
    arrays = weights()
    names = {"encoder.weight": arrays["W_enc"].T, "encoder.bias": arrays["b_enc"], "decoder.weight": arrays["W_dec"].T}
    return {name: tensor.contiguous() for name, tensor in names.items()}


def llama_scope(folder: Path) -> None:
    (weights_folder := folder / "Llama3_1-8B-Base-L12R-8x" / "checkpoints").mkdir(parents=True)
    save_file({**transposed(), "decoder.bias": weights()["b_dec"]}, weights_folder / "final.safetensors")
    settings = {
        "d_model": D_MODEL, "d_sae": D_SAE, "jump_relu_threshold": THETA, "hook_point_in": "blocks.12.hook_resid_post",
        "dataset_average_activation_norm": {"in": math.sqrt(D_MODEL) / llama_scale()},
    }  # fmt: skip
    (weights_folder.parent / "hyperparams.json").write_text(json.dumps(settings))


def dictionary(folder: Path) -> None:
    (place := folder / "resid_post_layer_15" / "trainer_1").mkdir(parents=True)
    torch.save({**transposed(), "b_dec": weights()["b_dec"]}, place / "ae.pt")
    size = {"activation_dim": D_MODEL, "dict_size": D_SAE, "k": K}
    trainer = {"layer": 15, "dict_class": "AutoEncoderTopK", "lm_name": "Qwen/tiny", **size}
    (place / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"ctx_len": 8}}))


def too_small(folder: Path) -> None:
    folder.mkdir(parents=True)
    torch.save(weights(), folder / "layer3.sae.pt")


def test_a_file_that_is_not_in_the_repository(tmp_path: Path) -> None:
    (files := tmp_path / "files").mkdir()
    with serving(Hub(repos={"google/gemma-scope-2b-pt-res": files})) as hub:
        done = python(FETCH.format(release=GEMMA[0], id=GEMMA[1], layer=15), tmp_path, hub)
    (message,) = json.loads(done.stdout)
    assert message.startswith("sae.release=google/gemma-scope-2b-pt-res: a file that is needed is not in the repository")


def same(path: str, h: Tensor, codes: Tensor, arrays: dict[str, Tensor], layer: int, activation: str) -> None:
    """The autoencoder that is kept gives these codes."""
    sae = load_sae(path)
    assert (sae.layer, sae.activation) == (layer, activation)
    assert 0.02 < (codes > 0).float().mean() < 0.9
    torch.testing.assert_close(sae.encode(h), codes, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sae.decode(sae.encode(h)), codes @ arrays["W_dec"] + arrays["b_dec"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("names", "layer", "expected"),
    [
        (LLAMA, 15, "llama3.1-8b/15-llamascope-res-32k"),
        (("gemma-scope-2b-pt-res", "layer_LAYER/width_16k/average_l0_143"), 5, "gemma-2-2b/5-gemmascope-res-16k__l0-143"),
        # The list names these files' pages under another release of the same repository.
        (("gemma-scope-9b-pt-res", "layer_LAYER/width_131k/average_l0_98"), 28, "gemma-2-9b/28-gemmascope-res-131k"),
        (QWEN, 18, ""),
    ],
)
def test_neuronpedia_ids_are_those_of_saelens_list(names: tuple[str, str], layer: int, expected: str) -> None:
    assert neuronpedia(listed(release(names), layer)) == expected
