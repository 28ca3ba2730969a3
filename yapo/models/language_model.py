"""A decoder-only language model whose blocks can be run a few at a time.

The residual stream after block L does not depend on what is done to it at L or above, so everything below L is computed
once and everything above is run on whatever the steering made of it. Blocks are the transformers library's own; only the
walk through them is ours. ``tests/models/test_language_model.py`` holds it equal to the library's forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from itertools import chain
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.models import attention
from yapo.models.checkpoint import model_digest, model_folder
from yapo.models.head import pair_log_probs, target_log_probs
from yapo.models.norm import fuse_norms
from yapo.models.tokenizer import ChatTokenizer
from yapo.models.weights import check_architecture, end_ids, load_config, load_tokenizer, load_weights
from yapo.tensors import check_finite

SLACK = 16  # tokens that a cache grows by beyond the one it needs


class Cache(Protocol):
    """The part of a cache that transformers' attention calls."""

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Keep the new keys and values of a layer ``[rows, heads, tokens, head_dim]``, and return those to attend to."""


def cache_name(module: nn.Module) -> str:
    """Return what a model or block of transformers calls the cache that it is given; 5.24 renamed it."""
    return "cache" if "cache" in signature(module.forward).parameters else "past_key_values"


@dataclass
class KeyValues:
    """Keys and values of the blocks run so far; what blocks take as cache.

    Attributes:
        keys, values: by layer, ``[rows, heads, capacity, head_dim]``.
        tokens: how many of them are filled, by layer.
    """

    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Append to one layer and return all of it (the call that transformers' attention makes)."""
        if layer not in self.keys:
            self.keys[layer], self.values[layer], self.tokens[layer] = key, value, key.shape[2]
            return key, value
        start = self.tokens[layer]
        end = self.tokens[layer] = start + key.shape[2]
        for kept, new in ((self.keys, key), (self.values, value)):
            if end > kept[layer].shape[2]:  # room for more than this step, so that few steps copy
                kept[layer] = nn.functional.pad(kept[layer][:, :, :start], (0, 0, 0, key.shape[2] + SLACK))
            kept[layer][:, :, start:end] = new
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def select(self, rows: Tensor) -> KeyValues:
        """Return a cache whose row i is row ``rows[i]`` of this one."""
        keys, values = ({layer: kept[rows] for layer, kept in side.items()} for side in (self.keys, self.values))
        return KeyValues(keys, values, dict(self.tokens))


@dataclass(frozen=True)
class _GivenKeys:
    """Keys and values that a block is to use in place of those of its own input."""

    key: Tensor
    value: Tensor

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See ``Cache``."""
        return self.key, self.value


@dataclass(frozen=True)
class Masks:
    """Additive attention masks ``[rows, 1, queries, keys]``, for full and for sliding-window layers."""

    full: Tensor
    sliding: Tensor

    def select(self, rows: Tensor) -> Masks:
        """Return masks whose row i is row ``rows[i]`` of these."""
        return Masks(self.full[rows], self.sliding[rows])


class LanguageModel:
    """A frozen model, its tokenizer, and the walk through its blocks."""

    def __init__(self, model: PreTrainedModel, tokenizer: ChatTokenizer, source: str, digest: str = "") -> None:
        check_architecture(source, model.config.model_type)
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer.ending_also_at(end_ids(model, source))
        self.source = source
        self.digest = digest
        config = model.config
        self.n_layers = int(config.num_hidden_layers)
        self.d_model = int(config.hidden_size)
        self.first = 0  # lowest block that is loaded
        self._compiled: dict[int, Callable[..., Tensor]] = {}
        self._cache_name = cache_name(model.model.layers[-1])
        self._softcap = config.final_logit_softcapping if config.model_type == "gemma2" else None
        self._sliding = [kind == "sliding_attention" for kind in config.layer_types] if config.model_type != "llama" else []
        self._window = config.sliding_window if any(self._sliding) else None

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return cast(torch.device, self.model.lm_head.weight.device)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return cast(torch.dtype, self.model.dtype)

    def check_layer(self, layer: int) -> None:
        """Refuse a layer that the model does not have, or that has no block above it."""
        if not 0 <= layer < self.n_layers - 1:
            raise YapoError(f"layer={layer}: {self.source} has blocks 0..{self.n_layers - 1}; steer at 0..{self.n_layers - 2}")

    def masks(self, allowed: Tensor, positions: Tensor, key_positions: Tensor) -> Masks:
        """Return additive masks.

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
        """Return the input of block 0, ``[rows, tokens, d_model]``."""
        return cast(Tensor, self.model.model.embed_tokens(ids))

    def blocks(
        self,
        hidden: Tensor,
        start: int,
        stop: int,
        positions: Tensor,
        masks: Masks,
        cache: Cache | None = None,
        read: Tensor | None = None,
        compiled: bool = False,
    ) -> Tensor:
        """Run blocks ``start .. stop-1``: the residual stream before ``start`` becomes the one after ``stop - 1``.

        Args:
            hidden: residual stream ``[rows, tokens, d_model]``.
            start, stop: which blocks.
            positions: position of each token, ``[rows, tokens]``.
            masks: what each token may read.
            cache: grows by the keys and values of these blocks.
            read: tokens whose result is wanted, ``[rows, n]``; the last block computes no others, and the result has those.
            compiled: run blocks as compiled for these shapes, which takes seconds for each new one; the last one never.
        """
        if read is not None:
            rows = torch.arange(len(read), device=read.device)[:, None]
            if start == stop:
                return hidden[rows, read]
        self._check_resident(start)
        rotary = self.model.model.rotary_emb(hidden, positions)
        for layer in range(start, stop):
            mask = masks.sliding if self._sliding and self._sliding[layer] else masks.full
            known: Cache | None = cache
            if read is not None and layer == stop - 1:
                key, value = self._keys_values(layer, hidden, rotary)
                known = _GivenKeys(*(cache.update(key, value, layer) if cache is not None else (key, value)))
                hidden, rotary = hidden[rows, read], tuple(part[rows, read] for part in rotary)
                mask, positions = mask[rows, 0, read][:, None], positions[rows, read]
            block = self._compiled_block(layer) if compiled and known is None else self.model.model.layers[layer]
            told = {"position_embeddings": rotary, "attention_mask": mask, "position_ids": positions, self._cache_name: known}
            hidden = block(hidden, **told)
        return hidden

    def _compiled_block(self, layer: int) -> Callable[..., Tensor]:
        """Return one block with its small operations fused; compiled once, kept by torch on disk for later jobs."""
        if layer not in self._compiled:
            self._compiled[layer] = torch.compile(self.model.model.layers[layer], dynamic=False)
        return self._compiled[layer]

    def _keys_values(self, layer: int, hidden: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return rotated keys, and values, of a block's attention for all of its input, ``[rows, heads, tokens, head_dim]``."""
        block = self.model.model.layers[layer]
        attention, x = block.self_attn, block.input_layernorm(hidden)
        key, value = (project(x).view(*x.shape[:-1], -1, attention.head_dim) for project in (attention.k_proj, attention.v_proj))
        if self.model.config.model_type == "qwen3":
            key = attention.k_norm(key)
        key, value = key.transpose(1, 2), value.transpose(1, 2)
        return apply_rotary_pos_emb(key, key, *rotary)[1], value

    def keep_upper(self, first: int) -> None:
        """Forget the blocks below ``first``; training needs only those above the steered layer."""
        for layer in range(first):
            self.model.model.layers[layer] = nn.Identity()
        self.first = first

    def _check_resident(self, start: int) -> None:
        if start < self.first:
            raise YapoError(
                f"block {start} of {self.source} was not kept; only blocks {self.first}..{self.n_layers - 1} are loaded"
            )

    def target_log_probs(self, hidden: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
        """Return the log-probability of token i after the last block's output ``hidden[rows[i]]``, ``[tokens]`` float32.

        Equal to log softmax of ``logits`` at the targets, without holding ``[n, vocabulary]`` at once (see ``yapo.models.head``).
        """
        return target_log_probs(self.model.model.norm(hidden), self.model.lm_head.weight, rows, targets, self._softcap)

    def pair_log_probs(self, hidden: Tensor, targets: Tensor, compiled: bool = False) -> Tensor:
        """Return log-probabilities of two tokens ``targets [n, 2]`` after each of the last block's outputs ``[n, d_model]``."""
        return pair_log_probs(self.model.model.norm(hidden), self.model.lm_head.weight, targets, self._softcap, compiled)

    def likeliest(self, hidden: Tensor) -> Tensor:
        """Return the likeliest token after the last block's output ``[..., d_model]``; the soft cap keeps the order of logits."""
        return cast(Tensor, self.model.lm_head(self.model.model.norm(hidden)).argmax(dim=-1))

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the next-token logits in float32 from the last block's output, final norm and soft cap included."""
        return self.head(self.model.model.norm(hidden))

    def head(self, normed: Tensor) -> Tensor:
        """Return the next-token logits in float32 from the output of the final norm, soft cap included."""
        logits = self.model.lm_head(normed).float()
        if self._softcap is not None:
            logits = self._softcap * torch.tanh(logits / self._softcap)
        return cast(Tensor, logits)


def causal(real: Tensor) -> tuple[Tensor, Tensor]:
    """Return positions ``[rows, tokens]`` and causal permission ``[rows, tokens, tokens]`` of padded rows.

    Args:
        real: True where a token is not padding, ``[rows, tokens]``.
    """
    positions = (real.long().cumsum(dim=1) - 1).clamp_min(0)
    below = torch.ones(real.shape[1], real.shape[1], dtype=torch.bool, device=real.device).tril()
    allowed = below & real[:, None, :]
    return positions, allowed | torch.eye(real.shape[1], dtype=torch.bool, device=real.device)


def pad_left(rows: list[list[int]], pad: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return ids ``[rows, longest]`` padded on the left, and a mask that is True on real tokens."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    real = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, longest - len(row) :] = torch.tensor(row)
        real[i, longest - len(row) :] = True
    return ids.to(device), real.to(device)


def pad_right(rows: list[list[int]], pad: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return ids ``[rows, longest]`` padded on the right, and a mask that is True on real tokens."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids.to(device), (torch.arange(longest) < lengths[:, None]).to(device)


def load_language_model(config: ModelConfig, device: str | None = None, first: int = 0, plain: bool = False) -> LanguageModel:
    """Load model and tokenizer from a local folder, or from the hub's cache; what is not in the cache is downloaded.

    Its digest is the commit of a hub model, or a digest of a folder's weights.

    Args:
        config: which model, in which number type.
        device: where to; a GPU if there is one.
        first: lowest block to keep. Those below never reach the device.
        plain: whether prompts are raw texts instead of chats.

    Raises:
        YapoError: nothing is there, the hub refuses, the weights are damaged, incomplete or not finite, the architecture is
            not supported, or there is no such device.
    """
    folder = model_folder(config.path, config.revision)
    settings = load_config(folder, config.path)
    attention_name = _attention(config.attention, settings.model_type)
    model = load_weights(folder, settings, config.path, getattr(torch, config.dtype), attention_name)
    tokenizer = load_tokenizer(folder, config.path, model, plain)
    lm = LanguageModel(model, tokenizer, config.path, model_digest(folder, config.path))
    lm.keep_upper(first)
    model.to(_device(device))
    numbers = chain(model.named_parameters(), model.named_buffers())
    check_finite(numbers, f"model.path={config.path}", "fetch the weights again, or take another dtype")
    if config.attention == "auto":
        fuse_norms(model)
    return lm


def default_device() -> torch.device:
    """Return a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _device(name: str | None) -> torch.device:
    """Return the device of a name, or the default one."""
    if name is None:
        return default_device()
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):  # torch without CUDA asserts
        device = torch.device("meta")
    if device.type == "meta":  # it holds no numbers
        have = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise YapoError(f"device={name}: there is none here; choose among {have}, or leave it out")
    return device


def _attention(choice: str, kind: str) -> str:
    """Name the attention to run: torch's fused one where that is exact, ours under Gemma-2's soft cap."""
    if choice == "eager":
        return choice
    return attention.NAME if kind == "gemma2" else "sdpa"
