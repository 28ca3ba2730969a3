"""The adapter against SAELens' own classes, against plain loops, and on bad files."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import SAE, check_fits, load_sae

# With K = 18 some rows have fewer positive pre-activations than TopK keeps, and some have more.
D_MODEL, D_SAE, LAYER, K = 12, 40, 3, 18
ARCHITECTURES = ("standard", "jumprelu", "topk", "topk-rescaled")


@pytest.fixture(scope="module")
def sae_lens() -> ModuleType:
    return importlib.import_module("sae_lens")


@pytest.fixture(scope="module")
def h() -> Tensor:
    return 2.0 * torch.randn(4, 7, D_MODEL, generator=torch.Generator().manual_seed(0))


def weights(activation: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = {
        "W_enc": torch.randn(D_MODEL, D_SAE, generator=generator) / D_MODEL**0.5,
        "b_enc": 0.3 * torch.randn(D_SAE, generator=generator),
        "W_dec": torch.randn(D_SAE, D_MODEL, generator=generator) / D_SAE**0.5,
        "b_dec": torch.randn(D_MODEL, generator=generator),
    }
    return made | ({"threshold": 2.0 * torch.rand(D_SAE, generator=generator)} if activation == "jumprelu" else {})


def config(architecture: str, **changes: Any) -> dict[str, Any]:
    made = {
        "architecture": architecture,
        "d_in": D_MODEL,
        "d_sae": D_SAE,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"hook_name": f"blocks.{LAYER}.hook_resid_post", "model_name": "tiny", "sae_lens_version": "6.54.12"},
    }
    return made | ({"k": K} if architecture == "topk" else {}) | changes


def write_folder(folder: Path, settings: dict[str, Any], arrays: dict[str, Tensor]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(settings))
    save_file(arrays, folder / "sae_weights.safetensors")
    return folder


def write_npz(path: Path, save: Any = np.savez) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, **{name: tensor.numpy() for name, tensor in weights("jumprelu").items()})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "sae", config("jumprelu"), weights("jumprelu"))


def saved_by_sae_lens(sae_lens: ModuleType, name: str, apply_b_dec_to_input: bool, folder: Path) -> Any:
    """An autoencoder of SAELens' own class with our weights, saved by itself."""
    architecture, _, rescaled = name.partition("-")
    cls = {"standard": sae_lens.StandardSAE, "jumprelu": sae_lens.JumpReLUSAE, "topk": sae_lens.TopKSAE}[architecture]
    settings = config(architecture, apply_b_dec_to_input=apply_b_dec_to_input)
    if rescaled:
        settings["rescale_acts_by_decoder_norm"] = True
    made = cls.from_dict(settings)
    made.load_state_dict(weights(architecture))
    made.save_model(folder)
    return made


@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equals_sae_lens(sae_lens: ModuleType, h: Tensor, tmp_path: Path, name: str, apply_b_dec_to_input: bool) -> None:
    theirs = saved_by_sae_lens(sae_lens, name, apply_b_dec_to_input, tmp_path)
    ours = load_sae(tmp_path)
    with torch.no_grad():
        s, reconstruction = theirs.encode(h), theirs(h)
    assert 0.02 < (s > 0).float().mean() < 0.9
    torch.testing.assert_close(ours.encode(h), s, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.decode(ours.encode(h)), reconstruction, rtol=1e-5, atol=1e-5)
    assert (ours.d_model, ours.d_sae, ours.layer, ours.model_name) == (D_MODEL, D_SAE, LAYER, "tiny")


def test_a_decoder_row_of_zeros_is_clamped_as_sae_lens_clamps_it(sae_lens: ModuleType, tmp_path: Path) -> None:
    """Its norm is 0, and 0/0 would be every reconstruction; the codes of the other features are SAELens' own."""
    theirs = saved_by_sae_lens(sae_lens, "topk-rescaled", True, tmp_path)
    arrays = load_file(tmp_path / "sae_weights.safetensors")
    arrays["W_dec"][7] = 0
    save_file(arrays, tmp_path / "sae_weights.safetensors")
    ours = load_sae(tmp_path)
    theirs.load_state_dict(arrays)
    theirs.fold_W_dec_norm()
    theirs.cfg.rescale_acts_by_decoder_norm = False
    h = 2.0 * torch.randn(50, D_MODEL, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours.encode(h), theirs.encode(h), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours.decode(ours.encode(h)), theirs(h), rtol=1e-5, atol=1e-5)
    assert ours.decode(ours.encode(h)).isfinite().all()
    assert ours.encode(h)[:, 7].max() < 1e-6


def test_input_scale_is_folded_as_sae_lens_folds_it(sae_lens: ModuleType, h: Tensor, tmp_path: Path) -> None:
    theirs = saved_by_sae_lens(sae_lens, "jumprelu", True, tmp_path)
    write_folder(tmp_path, config("jumprelu", normalize_activations="expected_average_only_in"), weights("jumprelu"))
    (tmp_path / "activation_scaler.json").write_text('{"scaling_factor": 1.7}')
    ours = load_sae(tmp_path)
    with torch.no_grad():
        s, reconstruction = theirs.encode(1.7 * h), theirs(1.7 * h) / 1.7
    torch.testing.assert_close(ours.encode(h), s, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.decode(ours.encode(h)), reconstruction, rtol=1e-5, atol=1e-5)


def test_npz_equals_the_folder_with_the_same_weights(h: Tensor, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "sae", config("jumprelu", apply_b_dec_to_input=False), weights("jumprelu"))
    from_npz, from_folder = load_sae(write_npz(tmp_path / "layer_15" / "width_40" / "params.npz")), load_sae(folder)
    assert torch.equal(from_npz.encode(h), from_folder.encode(h))
    assert from_npz.digest == from_folder.digest
    assert (from_npz.layer, from_folder.layer) == (15, LAYER)


def test_npz_outside_a_layer_folder_states_no_layer(tmp_path: Path) -> None:
    sae = load_sae(write_npz(tmp_path / "params.npz"))
    assert sae.layer is None
    check_fits(sae, D_MODEL, 7)


def loop_encode(sae: SAE, row: Tensor) -> list[float]:
    pre = []
    for j in range(sae.d_sae):
        total = float(sae.b_enc[j])
        for i in range(sae.d_model):
            total += float(row[i] - (sae.b_dec[i] if sae.apply_b_dec_to_input else 0.0)) * float(sae.W_enc[i, j])
        pre.append(total)
    if sae.activation == "jumprelu":
        assert sae.threshold is not None
        return [max(p, 0.0) if p > float(sae.threshold[j]) else 0.0 for j, p in enumerate(pre)]
    kept = set(sorted(range(sae.d_sae), key=lambda j: -pre[j])[: sae.k])
    return [max(p, 0.0) if j in kept or sae.activation == "relu" else 0.0 for j, p in enumerate(pre)]


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
def test_encode_and_decode_equal_plain_loops(h: Tensor, tmp_path: Path, architecture: str) -> None:
    sae = load_sae(write_folder(tmp_path, config(architecture), weights(architecture)))
    for row in h[0]:
        expected = loop_encode(sae, row)
        torch.testing.assert_close(sae.encode(row), torch.tensor(expected), rtol=1e-5, atol=1e-5)
        decoded = [float(sae.b_dec[i]) + sum(s * float(sae.W_dec[j, i]) for j, s in enumerate(expected)) for i in range(D_MODEL)]
        torch.testing.assert_close(sae.decode(torch.tensor(expected)), torch.tensor(decoded), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
@pytest.mark.parametrize("dense_codes", [1, 3 * D_SAE, 2**26])
def test_sparse_codes_hold_the_dense_ones(
    h: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, dense_codes: int
) -> None:
    monkeypatch.setattr("yapo.models.sae.DENSE_CODES", dense_codes)
    sae = load_sae(write_folder(tmp_path, config(architecture), weights(architecture)))
    h = h.reshape(-1, D_MODEL)
    s = sae.encode(h)
    ids, values, counts = sae.encode_sparse(h)
    assert torch.equal(counts, (s > 0).sum(-1))
    assert (values > 0).all()
    row = torch.repeat_interleave(torch.arange(len(h)), counts)
    assert torch.equal(torch.stack([row, ids], dim=1), (s > 0).nonzero())  # ascending within a row
    torch.testing.assert_close(torch.zeros_like(s).index_put((row, ids), values), s, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu"])
def test_columns_are_those_features_of_the_whole(h: Tensor, tmp_path: Path, architecture: str) -> None:
    sae = load_sae(write_folder(tmp_path, config(architecture), weights(architecture)))
    chosen = torch.tensor([31, 2, 17])
    part = sae.columns(chosen)
    assert (part.d_model, part.d_sae, part.layer) == (D_MODEL, 3, LAYER)
    torch.testing.assert_close(part.encode(h), sae.encode(h)[..., chosen], rtol=1e-5, atol=1e-5)
    only = torch.zeros(*h.shape[:-1], D_SAE)
    only[..., chosen] = part.encode(h)
    torch.testing.assert_close(part.decode(part.encode(h)), sae.decode(only), rtol=1e-5, atol=1e-5)
    assert part.digest != sae.digest


def test_columns_of_topk_are_refused(tmp_path: Path) -> None:
    sae = load_sae(write_folder(tmp_path, config("topk"), weights("topk")))
    with pytest.raises(YapoError, match="TopK"):
        sae.columns(torch.tensor([1, 2]))


def test_half_precision_input_and_weights_are_computed_in_float32(h: Tensor, tmp_path: Path) -> None:
    rounded = {name: tensor.bfloat16() for name, tensor in weights("jumprelu").items()}
    low = load_sae(write_folder(tmp_path / "low", config("jumprelu"), rounded))
    full = load_sae(write_folder(tmp_path / "full", config("jumprelu"), {name: t.float() for name, t in rounded.items()}))
    assert torch.equal(low.encode(h.bfloat16()), full.encode(h.bfloat16().float()))
    assert low.digest == full.digest


def test_digest_follows_what_is_computed(tmp_path: Path) -> None:
    first = load_sae(write_folder(tmp_path / "a", config("topk"), weights("topk")))
    same = load_sae(
        write_folder(tmp_path / "b", config("topk", metadata={"hook_name": "blocks.0.hook_resid_post"}), weights("topk"))
    )
    other_k = load_sae(write_folder(tmp_path / "c", config("topk", k=K + 1), weights("topk")))
    changed = weights("topk")
    changed["W_dec"][0, 0] += 1e-3
    other_weights = load_sae(write_folder(tmp_path / "d", config("topk"), changed))
    assert first.digest == same.digest
    assert len({first.digest, other_k.digest, other_weights.digest}) == 3


def test_width_and_layer_must_fit(folder: Path) -> None:
    sae = load_sae(folder)
    check_fits(sae, D_MODEL, LAYER)
    with pytest.raises(YapoError, match=r"width 12, but the model has 96"):
        check_fits(sae, 96, LAYER)
    with pytest.raises(YapoError, match=r"layer 3, but layer 1 "):
        check_fits(sae, D_MODEL, 1)


@pytest.mark.parametrize("kept", [0, 5, 200, -4])
def test_truncated_safetensors(folder: Path, kept: int) -> None:
    path = folder / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(YapoError, match=r"sae_weights\.safetensors: damaged"):
        load_sae(folder)


@pytest.mark.parametrize("kept", [0, 5, 200, -4])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_truncated_npz(tmp_path: Path, save: Any, kept: int) -> None:
    path = write_npz(tmp_path / "params.npz", save)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(YapoError, match=r"params\.npz: damaged"):
        load_sae(path)


@pytest.mark.parametrize("at", [300, 900])
def test_damaged_npz(tmp_path: Path, at: int) -> None:
    path = write_npz(tmp_path / "params.npz", np.savez_compressed)
    damaged = bytearray(path.read_bytes())
    damaged[at : at + 50] = bytes(50)
    path.write_bytes(damaged)
    with pytest.raises(YapoError, match=r"params\.npz: damaged"):
        load_sae(path)


class Payload:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_pickled_arrays_are_never_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "params.npz", W_enc=np.array([Payload(tmp_path / "unpickled")], dtype=object))
    with pytest.raises(YapoError, match=r"params\.npz: damaged or not an npz of arrays"):
        load_sae(tmp_path / "params.npz")
    assert not (tmp_path / "unpickled").exists()
