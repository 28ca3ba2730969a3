"""Sparse autoencoders: one adapter over SAELens folders and Gemma Scope ``params.npz`` files.

Plain torch in float32. The files are read directly because importing sae-lens takes seconds and pulls in TransformerLens.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from yapo.errors import YapoError
from yapo.files import read_json
from yapo.models.sae_checks import AGAIN as SAVE_AGAIN
from yapo.models.sae_checks import check_arrays, input_scale, kept_features, required_setting, switch
from yapo.tensors import check_finite, not_finite, tensor_table

Activation = Literal["relu", "jumprelu", "topk"]

ACTIVATIONS: dict[str, Activation] = {"standard": "relu", "jumprelu": "jumprelu", "topk": "topk"}
CONFIG_FILE, WEIGHTS_FILE, SCALER_FILE = "cfg.json", "sae_weights.safetensors", "activation_scaler.json"
RESCALE = "rescale_acts_by_decoder_norm"

AGAIN = "copy or download it again"
_ANEW = "download or train the autoencoder again"

# Bounds the dense codes held at once by encode_sparse: 256 MiB of float32.
DENSE_CODES = 2**26


@dataclass(frozen=True, eq=False)
class SAE:
    """A sparse autoencoder of the residual stream, frozen.

    With x = h - b_dec where ``apply_b_dec_to_input`` is set and x = h otherwise, and p = x·W_enc + b_enc:

        relu      s = ReLU(p)
        jumprelu  s = ReLU(p) where p > threshold, else 0
        topk      s = ReLU(p) on the ``k`` largest entries of p, else 0
        ĥ = s·W_dec + b_dec

    Attributes:
        W_enc: encoder, ``[d_model, d_sae]``.
        b_enc: encoder bias, ``[d_sae]``.
        W_dec: decoder, one row a feature, ``[d_sae, d_model]``.
        b_dec: decoder bias, ``[d_model]``.
        activation: "relu", "jumprelu" or "topk".
        threshold: JumpReLU thresholds, ``[d_sae]``; None for the other activations.
        k: features kept by TopK; None for the other activations.
        apply_b_dec_to_input: whether the decoder bias is subtracted before encoding.
        source: the file or folder it was read from.
        layer: 0-based decoder block whose output it reads; None where the source does not say.
        hook_name: TransformerLens name of that place; None where the source does not say.
        model_name: the model it was trained on; None where the source does not say.
    """

    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    activation: Activation
    threshold: Tensor | None
    k: int | None
    apply_b_dec_to_input: bool
    source: str
    layer: int | None
    hook_name: str | None
    model_name: str | None

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.W_dec.shape[1]

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.W_dec.shape[0]

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the function computed, whatever file it came from."""
        total = hashlib.sha256(f"{self.activation} {self.k} {self.apply_b_dec_to_input}".encode())
        for tensor in (self.W_enc, self.b_enc, self.W_dec, self.b_dec, self.threshold):
            if tensor is not None:
                total.update(str(tuple(tensor.shape)).encode())
                total.update(tensor.cpu().contiguous().numpy().data)
        return total.hexdigest()[:12]

    def to(self, device: torch.device) -> SAE:
        """Return the same autoencoder on another device; itself, with the digest it may know, where it is there already."""
        if self.W_dec.device == device:
            return self
        moved: dict[str, Any] = {name: tensor.to(device) for name, tensor in vars(self).items() if isinstance(tensor, Tensor)}
        return replace(self, **moved)

    def encode(self, h: Tensor) -> Tensor:
        """Return feature activations s ≥ 0.

        Args:
            h: residual stream of any float type, ``[..., d_model]``.

        Returns:
            float32, ``[..., d_sae]``.
        """
        x = h.float() - self.b_dec if self.apply_b_dec_to_input else h.float()
        p = x @ self.W_enc + self.b_enc
        if self.threshold is not None:
            return torch.where(p > self.threshold, p.relu(), 0.0)
        if self.k is not None:
            top = p.topk(self.k, dim=-1)
            return torch.zeros_like(p).scatter(-1, top.indices, top.values.relu())
        return p.relu()

    def encode_sparse(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features that fire on each row, without holding all dense codes at once.

        The BOS position of many models activates far more features than any other: leave it out.

        Args:
            h: residual stream, ``[n, d_model]``.

        Returns:
            Row after row: feature indices (int64, ascending within a row) and their activations (float32), ``[entries]``
            each, and how many belong to each row (int64, ``[n]``).
        """
        ids, values, counts = [], [], []
        for rows in torch.split(h, max(1, DENSE_CODES // self.d_sae)):
            s = self.encode(rows)
            fires = s > 0
            ids.append(fires.nonzero()[:, 1])
            values.append(s[fires])
            counts.append(fires.sum(dim=-1))
        return torch.cat(ids), torch.cat(values), torch.cat(counts)

    def decode(self, s: Tensor) -> Tensor:
        """Return the reconstruction ĥ of the residual stream.

        Args:
            s: feature activations, ``[..., d_sae]``.

        Returns:
            float32, ``[..., d_model]``.
        """
        return s @ self.W_dec + self.b_dec

    def columns(self, indices: Tensor) -> SAE:
        """Return the same autoencoder with only the features ``indices`` (int64, ``[n]``), in that order.

        Its codes equal those entries of the whole autoencoder's codes, because relu and jumprelu treat features one by one.

        Raises:
            YapoError: the activation is topk, where features compete and a part behaves differently from the whole.
        """
        if self.activation == "topk":
            raise YapoError(
                f"{self.source}: a TopK autoencoder cannot be cut to {len(indices)} of its features; keep all of them"
            )
        return replace(
            self,
            W_enc=self.W_enc[:, indices],
            b_enc=self.b_enc[indices],
            W_dec=self.W_dec[indices],
            threshold=None if self.threshold is None else self.threshold[indices],
        )


def load_sae(source: str | Path, device: str | torch.device = "cpu") -> SAE:
    """Read an autoencoder, in float32 whatever the type stored.

    Args:
        source: a SAELens folder (``cfg.json`` and ``sae_weights.safetensors``; architecture standard, jumprelu or topk;
            a BatchTopK autoencoder saved for inference is a jumprelu one), or a Gemma Scope ``.npz`` file, whose layer is
            taken from the ``layer_<L>`` of its path.
        device: where the weights go.

    Raises:
        YapoError: nothing there, a damaged file, a missing or impossible setting, NaN or infinity, or a kind of autoencoder
            that this project does not run.
    """
    path = Path(source)
    if path.suffix == ".npz":
        return _load_npz(path, torch.device(device))
    return _load_folder(path, torch.device(device))


def check_fits(sae: SAE, d_model: int, layer: int) -> None:
    """Refuse an autoencoder of another width or another layer than the one to be steered.

    Args:
        sae: the autoencoder; a layer that its source does not state is not checked.
        d_model: width of the model's residual stream.
        layer: 0-based decoder block whose output is steered.

    Raises:
        YapoError: width or layer differ.
    """
    if sae.d_model != d_model:
        raise YapoError(f"{sae.source}: made for residual width {sae.d_model}, but the model has {d_model}; give the model's own")
    if sae.layer is not None and sae.layer != layer:
        raise YapoError(f"{sae.source}: made for layer {sae.layer}, but layer {layer} is steered; give the one of layer {layer}")


def _load_folder(folder: Path, device: torch.device) -> SAE:
    path = folder / CONFIG_FILE
    if not os.path.isfile(path):  # says no where pathlib raises: of names that no file can have
        raise YapoError(f"{path}: no such file; give a SAELens folder or a Gemma Scope params.npz")
    config = read_json(path, AGAIN)
    for key in ("architecture", "d_in", "d_sae", "apply_b_dec_to_input", "normalize_activations", "metadata"):
        required_setting(config, key, path)
    hook_name = required_setting(config["metadata"], "hook_name", path)
    hook = re.fullmatch(r"blocks\.([0-9]{1,4})\.hook_resid_post", str(hook_name))
    if hook is None:
        raise YapoError(
            f"{path}: hook_name is {hook_name}; only blocks.<L>.hook_resid_post, the output of a block, can be steered"
        )
    architecture = str(config["architecture"])
    if architecture not in ACTIVATIONS:
        raise YapoError(
            f"{path}: architecture {architecture} is not supported; use one of {', '.join(ACTIVATIONS)}"
            " (SAELens' save_inference_model turns batchtopk into jumprelu)"
        )
    activation, own = ACTIVATIONS[architecture], config.get("activation_fn") or config.get("activation_fn_str") or "relu"
    if activation == "relu" and own != "relu":
        raise YapoError(f"{path}: activation_fn {own} is not what architecture {architecture} has; {SAVE_AGAIN}")
    weights = _read_safetensors(folder / WEIGHTS_FILE, device)
    check_arrays(weights, activation == "jumprelu", folder / WEIGHTS_FILE)
    d_model, d_sae = weights["W_enc"].shape
    if (config["d_in"], config["d_sae"]) != (d_model, d_sae):
        raise YapoError(
            f"{path}: d_in, d_sae are {config['d_in']}, {config['d_sae']},"
            f" but {WEIGHTS_FILE} holds {(d_model, d_sae)}; copy both files from the same autoencoder"
        )
    k = kept_features(config, d_sae, path) if activation == "topk" else None
    subtracts = switch(config, "apply_b_dec_to_input", path)
    rescales = activation == "topk" and config.get(RESCALE) is not None and switch(config, RESCALE, path)
    check_finite(weights.items(), folder / WEIGHTS_FILE, _ANEW)
    _fold_scale(weights, str(config["normalize_activations"]), folder)
    if rescales:
        _fold_decoder_norm(weights)
    threshold = weights.pop("threshold", None)
    return SAE(
        **weights,
        activation=activation,
        threshold=threshold,
        k=k,
        apply_b_dec_to_input=subtracts,
        source=str(folder),
        layer=int(hook[1]),
        hook_name=str(hook_name),
        model_name=config["metadata"].get("model_name"),
    )


def _load_npz(path: Path, device: torch.device) -> SAE:
    try:
        with np.load(path, allow_pickle=False) as archive:
            raw = {name: torch.from_numpy(archive[name]).to(device, torch.float32) for name in archive.files}
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; give a SAELens folder or a Gemma Scope params.npz") from None
    except (ValueError, TypeError, EOFError, OSError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise YapoError(f"{path}: damaged or not an npz of arrays ({_line(error)}); download it again") from None
    check_arrays(raw, True, path)
    check_finite(raw.items(), path, _ANEW)
    layer = re.search(r".*layer_([0-9]{1,4})(?![0-9])", str(path.absolute()))
    return SAE(
        **raw,
        activation="jumprelu",
        k=None,
        apply_b_dec_to_input=False,
        source=str(path),
        layer=int(layer[1]) if layer else None,
        hook_name=f"blocks.{layer[1]}.hook_resid_post" if layer else None,
        model_name=None,
    )


def _read_safetensors(path: Path, device: torch.device) -> dict[str, Tensor]:
    if not path.is_file():
        raise YapoError(f"{path}: no such file; copy the whole SAELens folder")
    try:
        held = load_file(path, device=str(device))
        tensor_table(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise YapoError(f"{path}: damaged or not a safetensors file ({_line(error)}); {AGAIN}") from None
    for name, tensor in held.items():
        if not tensor.is_floating_point():
            raise YapoError(f"{path}: {name} holds {tensor.dtype} numbers; save the autoencoder in a floating-point type")
    return {name: tensor.float() for name, tensor in held.items()}


def _fold_scale(weights: dict[str, Tensor], normalization: str, folder: Path) -> None:
    """Move a constant input scale c into the weights: the codes of c·h from h itself, ĥ in the units of h."""
    if normalization == "none":
        return
    if normalization != "expected_average_only_in":
        raise YapoError(
            f"{folder / CONFIG_FILE}: normalize_activations {normalization} is not supported, because it cannot be folded"
            " into the weights here; use none or expected_average_only_in"
        )
    path = folder / SCALER_FILE
    if not path.is_file():
        raise YapoError(f"{path}: no such file, but normalize_activations is {normalization}; save the autoencoder folded")
    scale = input_scale(read_json(path, AGAIN), path)
    weights["W_enc"] *= scale
    weights["W_dec"] /= scale
    weights["b_dec"] /= scale
    if not_finite(weights.items()) is not None:
        raise YapoError(f"{path}: scaling_factor is {scale}, with which the weights overflow; check the source")


def _fold_decoder_norm(weights: dict[str, Tensor]) -> None:
    """Give decoder rows unit norm and the encoder their norms, so that codes are in units of the residual stream.

    A row of zeros keeps its direction, none, and its feature almost never fires: norms are clamped as SAELens clamps them.
    """
    norms = weights["W_dec"].norm(dim=-1).clamp(min=1e-8)
    weights["W_enc"] *= norms
    weights["b_enc"] *= norms
    weights["W_dec"] /= norms[:, None]


def _line(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
