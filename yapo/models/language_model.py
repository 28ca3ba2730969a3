"""A decoder-only language model whose blocks can be run a few at a time.

The residual stream after block L does not depend on what is done to it at L or above, so everything below L is computed
once and everything above is run on whatever the steering made of it. Blocks are the transformers library's own; only the
walk through them is ours. ``tests/models/test_language_model.py`` holds it equal to the library's forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.files import file_digest
from yapo.models.tokenizer import ChatTokenizer

SUPPORTED = ("gemma2", "llama", "qwen2", "qwen3")


@dataclass
class KeyValues:
    """Keys and values of the blocks run so far, ``[rows, heads, tokens, head_dim]`` each; what blocks take as cache."""

    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object) -> tuple[Tensor, Tensor]:
        """Append to one layer and return all of it (the call that transformers' attention makes)."""
        if layer in self.keys:
            key, value = torch.cat([self.keys[layer], key], dim=2), torch.cat([self.values[layer], value], dim=2)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def select(self, rows: Tensor) -> KeyValues:
        """A cache whose row i is row ``rows[i]`` of this one."""
        return KeyValues(
            {layer: key[rows] for layer, key in self.keys.items()}, {layer: value[rows] for layer, value in self.values.items()}
        )


@dataclass(frozen=True)
class Masks:
    """Additive attention masks ``[rows, 1, queries, keys]``, for full and for sliding-window layers."""

    full: Tensor
    sliding: Tensor


class LanguageModel:
    """A frozen model, its tokenizer, and the walk through its blocks."""

    def __init__(self, model: PreTrainedModel, tokenizer: ChatTokenizer, source: str, digest: str = "") -> None:
        if model.config.model_type not in SUPPORTED:
            raise YapoError(
                f"{source}: architecture '{model.config.model_type}' is not supported; use one of {', '.join(SUPPORTED)}"
            )
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.source = source
        self.digest = digest
        config = model.config
        self.n_layers = int(config.num_hidden_layers)
        self.d_model = int(config.hidden_size)
        self._softcap = config.final_logit_softcapping if config.model_type == "gemma2" else None
        self._sliding = [kind == "sliding_attention" for kind in config.layer_types] if config.model_type != "llama" else []
        self._window = config.sliding_window if any(self._sliding) else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.model.device)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return cast(torch.dtype, self.model.dtype)

    def check_layer(self, layer: int) -> None:
        """Refuse a layer that the model does not have, or that has no block above it."""
        if not 0 <= layer < self.n_layers - 1:
            raise YapoError(f"layer={layer}: {self.source} has blocks 0..{self.n_layers - 1}; steer at 0..{self.n_layers - 2}")

    def masks(self, allowed: Tensor, positions: Tensor, key_positions: Tensor) -> Masks:
        """Additive masks.

        Args:
            allowed: which keys each query may read, bool ``[rows, queries, keys]``.
            positions: positions of the queries, ``[rows, queries]``.
            key_positions: positions of the keys, ``[rows, keys]``.
        """
        near = allowed
        if self._window is not None:
            near = allowed & (positions[:, :, None] - key_positions[:, None, :] < self._window)
        lowest = torch.finfo(self.dtype).min
        full, sliding = (
            torch.zeros(mask.shape, dtype=self.dtype, device=mask.device).masked_fill_(~mask, lowest)[:, None]
            for mask in (allowed, near)
        )
        return Masks(full, sliding)

    def embed(self, ids: Tensor) -> Tensor:
        """Input of block 0, ``[rows, tokens, d_model]``."""
        return cast(Tensor, self.model.model.embed_tokens(ids))

    def blocks(
        self, hidden: Tensor, start: int, stop: int, positions: Tensor, masks: Masks, cache: KeyValues | None = None
    ) -> Tensor:
        """Run blocks ``start .. stop-1``: the residual stream before ``start`` becomes the one after ``stop - 1``."""
        body = self.model.model
        rotary = body.rotary_emb(hidden, positions)
        for layer in range(start, stop):
            sliding = bool(self._sliding) and self._sliding[layer]
            hidden = body.layers[layer](
                hidden,
                position_embeddings=rotary,
                attention_mask=masks.sliding if sliding else masks.full,
                position_ids=positions,
                past_key_values=cache,
            )
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits in float32 from the last block's output, final norm and soft cap included."""
        logits = self.model.lm_head(self.model.model.norm(hidden)).float()
        if self._softcap is not None:
            logits = self._softcap * torch.tanh(logits / self._softcap)
        return cast(Tensor, logits)


def causal(real: Tensor) -> tuple[Tensor, Tensor]:
    """Positions ``[rows, tokens]`` and causal permission ``[rows, tokens, tokens]`` of padded rows.

    Args:
        real: True where a token is not padding, ``[rows, tokens]``.
    """
    positions = (real.long().cumsum(dim=1) - 1).clamp_min(0)
    below = torch.ones(real.shape[1], real.shape[1], dtype=torch.bool, device=real.device).tril()
    allowed = below & real[:, None, :]
    return positions, allowed | torch.eye(real.shape[1], dtype=torch.bool, device=real.device)


def pad_left(rows: list[list[int]], pad: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Ids ``[rows, longest]`` padded on the left, and a mask that is True on real tokens."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    real = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, longest - len(row) :] = torch.tensor(row)
        real[i, longest - len(row) :] = True
    return ids.to(device), real.to(device)


def load_language_model(config: ModelConfig, device: str | None = None) -> LanguageModel:
    """Load model and tokenizer from a local folder or the hub cache.

    Raises:
        YapoError: nothing is there, the weights are damaged, or the architecture is not supported.
    """
    folder = Path(config.path)
    local = folder.is_dir()
    if not local and (config.path.startswith((".", "/")) or config.path.count("/") != 1 or folder.parent.is_dir()):
        raise YapoError(f"model.path={config.path}: no such folder; give a Hugging Face folder or a hub id")
    try:
        settings = AutoConfig.from_pretrained(config.path)
        if settings.model_type not in SUPPORTED:
            raise YapoError(
                f"{config.path}: architecture '{settings.model_type}' is not supported; use one of {', '.join(SUPPORTED)}"
            )
        model = AutoModelForCausalLM.from_pretrained(
            config.path, dtype=getattr(torch, config.dtype), attn_implementation=config.attention, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(config.path)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise YapoError(f"model.path={config.path}: cannot be loaded ({reason}); fetch or copy the folder again") from None
    digest = file_digest(*sorted(folder.glob("*.safetensors"))) if local else str(settings._commit_hash)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return LanguageModel(model.to(device), ChatTokenizer(tokenizer), config.path, digest)


def _check_architecture(source: str, kind: str) -> None:
    if kind not in SUPPORTED:
        raise YapoError(f"{source}: architecture '{kind}' is not supported; use one of {', '.join(SUPPORTED)}")
