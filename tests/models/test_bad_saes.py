"""Autoencoders that must not be loaded: each is refused in one sentence, and nothing is run or changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from yapo.models.sae import load_sae

from ..refusals import contents, refused
from .test_sae import D_SAE, config, weights, write_folder, write_npz

SCALED = {"normalize_activations": "expected_average_only_in"}
NEEDED = ("architecture", "d_in", "d_sae", "apply_b_dec_to_input", "normalize_activations", "metadata", "k")
Case = tuple[str, Callable[[Path], object] | dict[str, Any], tuple[str, ...]]


def array(**changes: Any) -> Callable[[Path], None]:
    """Change arrays of the folder: None takes one out, a number is written into its first entry."""

    def edit(folder: Path) -> None:
        held = load_file(folder / "sae_weights.safetensors")
        for name, value in changes.items():
            if value is None:
                del held[name]
            elif isinstance(value, float):
                held[name].view(-1)[0] = value
            else:
                held[name] = value
        save_file(held, folder / "sae_weights.safetensors")

    return edit


def scaler(text: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        write_folder(folder, config("jumprelu", **SCALED), weights("jumprelu"))
        (folder / "activation_scaler.json").write_text(text)

    return edit


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


# architecture, settings or an edit of the folder, parts of the message
FOLDERS: dict[str, Case] = {
    "k of 0": ("topk", {"k": 0}, ("k is 0", f"1 to d_sae={D_SAE}")),
    "k below 0": ("topk", {"k": -3}, ("k is -3",)),
    "k beyond the width": ("topk", {"k": D_SAE + 1}, (f"k is {D_SAE + 1}",)),
    "k that is text": ("topk", {"k": "x"}, ("k is 'x'",)),
    "k in quotes": ("topk", {"k": "18"}, ("k is '18'",)),
    "k that is a fraction": ("topk", {"k": 2.5}, ("k is 2.5",)),
    "k that is a switch": ("topk", {"k": True}, ("k is True",)),
    "k that is a list": ("topk", {"k": [18]}, ("k is [18]",)),
    "k that is NaN": ("topk", {"k": float("nan")}, ("k is nan",)),
    "k that is infinite": ("topk", {"k": float("inf")}, ("k is inf",)),
    **{f"no {key}": ("topk", {key: None}, (f"key {key} is missing",)) for key in NEEDED},
    "no hook": ("standard", {"metadata": {"model_name": "tiny"}}, ("key hook_name is missing",)),
    "a switch in words": ("standard", {"apply_b_dec_to_input": "false"}, ("apply_b_dec_to_input is 'false'", "true or false")),
    "a switch of 1": ("standard", {"apply_b_dec_to_input": 1}, ("apply_b_dec_to_input is 1",)),
    "rescaling in words": ("topk", {"rescale_acts_by_decoder_norm": "no"}, ("rescale_acts_by_decoder_norm is 'no'",)),
    "an architecture in a list": ("standard", {"architecture": ["standard"]}, ("architecture ['standard'] is not supported",)),
    "batchtopk": ("jumprelu", {"architecture": "batchtopk"}, ("architecture batchtopk", "save_inference_model")),
    "normalisation by layer": ("standard", {"normalize_activations": "layer_norm"}, ("layer_norm is not supported",)),
    "a layer beyond any model": (
        "standard",
        {"metadata": {"hook_name": f"blocks.{'9' * 5000}.hook_resid_post"}},
        ("hook_name is blocks.9", "only blocks.<L>.hook_resid_post"),
    ),
    "an activation that is not the architecture's": ("standard", {"activation_fn_str": "topk"}, ("activation_fn topk",)),
    "no scaler": ("jumprelu", SCALED, ("activation_scaler.json: no such file",)),
    "transcoder": ("standard", {"architecture": "transcoder"}, ("architecture transcoder is not supported",)),
    "normalisation in a list": ("standard", {"normalize_activations": ["none"]}, ("normalize_activations ['none']",)),
    "d_in in words": ("standard", {"d_in": "twelve"}, ("d_in, d_sae are twelve, 40",)),
    "another d_sae": ("standard", {"d_sae": 41}, ("12, 41", "(12, 40)")),
    "metadata that is text": ("standard", {"metadata": "blocks.3.hook_resid_post"}, ("hook_name is missing",)),
    "the input of a block": ("standard", {"metadata": {"hook_name": "blocks.3.hook_resid_pre"}}, ("blocks.3.hook_resid_pre",)),
    "a layer below 0": ("standard", {"metadata": {"hook_name": "blocks.-1.hook_resid_post"}}, ("blocks.-1.",)),
    "a hook that is a number": ("standard", {"metadata": {"hook_name": 3}}, ("hook_name is 3",)),
    "a hook of two lines": ("standard", {"metadata": {"hook_name": "blocks.3\n"}}, (r"hook_name is blocks.3\n;",)),
    "settings that are a list": ("standard", text("cfg.json", "[]"), ("cfg.json", "key architecture is missing")),
    "settings that are not JSON": (
        "standard",
        text("cfg.json", "{"),
        ("cfg.json", "not valid JSON", "copy or download it again"),
    ),
    "settings nested without end": ("standard", text("cfg.json", "[" * 100_000), ("cfg.json", "copy or download it again")),
    "settings with a key twice": ("standard", text("cfg.json", '{"k": 1, "k": 2}'), ("cfg.json", "it gives 'k' twice")),
    "settings in another encoding": ("standard", text("cfg.json", "{}".encode("utf-16")), ("cfg.json", "not UTF-8")),
    "no settings": ("standard", lambda f: (f / "cfg.json").unlink(), ("cfg.json: no such file",)),
    "no weights": ("standard", lambda f: (f / "sae_weights.safetensors").unlink(), ("sae_weights.safetensors: no such file",)),
    "weights that are a pickle": (
        "standard",
        lambda f: torch.save(weights("standard"), f / "sae_weights.safetensors"),
        ("damaged or not a safetensors file",),
    ),
    "weights that are a pipe": (
        "standard",
        lambda f: [(f / "sae_weights.safetensors").unlink(), os.mkfifo(f / "sae_weights.safetensors")],
        ("sae_weights.safetensors: no such file",),
    ),
    "weights that are a folder": (
        "standard",
        lambda f: [(f / "sae_weights.safetensors").unlink(), (f / "sae_weights.safetensors").mkdir()],
        ("sae_weights.safetensors",),
    ),
    "a threshold too many": ("topk", array(threshold=torch.ones(D_SAE)), ("threshold", "check the source")),
    "an array of another name": ("standard", array(encoder=torch.ones(3)), ("encoder",)),
    "no threshold": ("jumprelu", array(threshold=None), ("threshold", "check the source")),
    "a decoder on its side": (
        "jumprelu",
        array(W_dec=torch.ones(12, D_SAE)),
        ("W_dec has shape (12, 40), expected (40, 12)",),
    ),
    "no encoder bias": ("standard", array(b_enc=None), ("b_enc",)),
    "a bias in two dimensions": ("standard", array(b_enc=torch.ones(1, D_SAE)), ("b_enc has shape (1, 40), expected (40,)",)),
    "nothing in the arrays": (
        "standard",
        array(W_enc=torch.ones(12, 0), b_enc=torch.ones(0), W_dec=torch.ones(0, 12)),
        ("b_enc is empty",),
    ),
    "whole numbers": ("standard", array(b_dec=torch.ones(12, dtype=torch.int64)), ("b_dec holds torch.int64",)),
    "complex numbers": ("standard", array(b_dec=torch.ones(12, dtype=torch.complex64)), ("b_dec holds torch.complex64",)),
    "NaN in the encoder": ("jumprelu", array(W_enc=float("nan")), ("W_enc holds NaN or infinity",)),
    "NaN in a threshold": ("jumprelu", array(threshold=float("nan")), ("threshold holds NaN or infinity",)),
    "infinity in the decoder": ("topk", array(W_dec=float("inf")), ("W_dec holds NaN or infinity",)),
    "a scale of 0": ("jumprelu", scaler('{"scaling_factor": 0}'), ("scaling_factor is 0", "above 0")),
    "a scale below 0": ("jumprelu", scaler('{"scaling_factor": -1.5}'), ("scaling_factor is -1.5",)),
    "a scale of NaN": ("jumprelu", scaler('{"scaling_factor": NaN}'), ("scaling_factor is nan",)),
    "an infinite scale": ("jumprelu", scaler('{"scaling_factor": Infinity}'), ("scaling_factor is inf",)),
    "a scale beyond floats": ("jumprelu", scaler('{"scaling_factor": 1' + "0" * 400 + "}"), ("scaling_factor is 1000",)),
    "a scale in words": ("jumprelu", scaler('{"scaling_factor": "1.7"}'), ("scaling_factor is '1.7'",)),
    "a scale that is a switch": ("jumprelu", scaler('{"scaling_factor": true}'), ("scaling_factor is True",)),
    "a scale under which weights overflow": ("jumprelu", scaler('{"scaling_factor": 1e-44}'), ("1e-44", "overflow")),
    "no scale": ("jumprelu", scaler("{}"), ("activation_scaler.json", "key scaling_factor is missing")),
    "a scale alone": ("jumprelu", scaler("1.7"), ("activation_scaler.json", "key scaling_factor is missing")),
    "a scaler that is not JSON": ("jumprelu", scaler("{"), ("activation_scaler.json", "not valid JSON")),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_is_not_loaded(tmp_path: Path, case: str) -> None:
    architecture, change, parts = FOLDERS[case]
    settings = change if isinstance(change, dict) else {}
    folder = write_folder(tmp_path / "sae", config(architecture) | settings, weights(architecture))
    if not isinstance(change, dict):
        change(folder)
    before = contents(tmp_path)
    assert str(folder) in refused(lambda: load_sae(folder), *parts)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["", "a" * 300, "a\0b", "nowhere", "weights.pt"])
def test_a_name_without_a_folder(name: str) -> None:
    refused(lambda: load_sae(name), "cfg.json: no such file", "SAELens folder")


def changed_npz(**changes: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        arrays = {name: tensor.numpy() for name, tensor in weights("jumprelu").items()}
        np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})

    return write


def with_nan() -> np.ndarray[Any, Any]:
    made = weights("jumprelu")["W_dec"].numpy()
    made[3, 3] = np.nan
    return made


FILES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "nothing": (Path.exists, ("no such file",)),
    "a folder": (lambda path: path.mkdir(), ("damaged or not an npz",)),
    "empty": (lambda path: path.touch(), ("damaged or not an npz",)),
    "one array": (lambda path: path.open("wb").close() or np.save(path.open("wb"), np.ones(3)), ("damaged or not an npz",)),
    "a zip of something else": (lambda path: torch.save({"a": torch.ones(2)}, path), ("params.npz",)),
    "text instead of numbers": (changed_npz(b_enc=np.array(["a"] * D_SAE)), ("damaged or not an npz of arrays",)),
    "no threshold": (changed_npz(threshold=None), ("threshold", "check the source")),
    "another shape": (changed_npz(W_enc=np.ones((3, D_SAE), np.float32)), ("W_enc has shape (3, 40), expected (12, 40)",)),
    "NaN": (changed_npz(W_dec=with_nan()), ("W_dec holds NaN or infinity",)),
    "an array too large for the file": (
        lambda path: write_npz(path) and path.write_bytes(path.read_bytes().replace(b"(12, 40)", b"(9**9,)")),
        ("damaged or not an npz",),
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_not_loaded(tmp_path: Path, case: str) -> None:
    write, parts = FILES[case]
    path = tmp_path / "params.npz"
    write(path)
    assert str(path) in refused(lambda: load_sae(path), *parts)


def test_settings_as_other_writers_spell_them(tmp_path: Path) -> None:
    """A k of 18.0 is 18, rescaling that is null is none, and a byte order mark says nothing."""
    plain = load_sae(write_folder(tmp_path / "a", config("topk", k=18), weights("topk")))
    spelled = write_folder(tmp_path / "b", config("topk", k=18.0, rescale_acts_by_decoder_norm=None), weights("topk"))
    assert json.loads((spelled / "cfg.json").read_text())["k"] == 18.0
    assert load_sae(spelled).digest == plain.digest
    (spelled / "cfg.json").write_bytes(b"\xef\xbb\xbf" + (spelled / "cfg.json").read_bytes())
    assert load_sae(spelled).digest == plain.digest
