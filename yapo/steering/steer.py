"""Steer a Hugging Face model inside a ``with`` block that undoes itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from yapo.errors import YapoError
from yapo.hub import Repo, is_commit, snapshot_commit, snapshot_of, snapshots_with_weights
from yapo.models.checkpoint import missing_file, weights_digest
from yapo.models.sae import SAE, load_sae
from yapo.models.weights import check_architecture
from yapo.steering.applied import Applied
from yapo.steering.conversation import AnswerStarts, Conversation
from yapo.steering.intervention import Intervention
from yapo.steering.vector import SteeringVector, VectorInfo

Autoencoder = SAE | Path | str


@contextmanager
def steer(
    model: PreTrainedModel,
    vector: SteeringVector,
    multiplier: float | None = None,
    sae: Autoencoder | Mapping[int, Autoencoder] | None = None,
    answer_starts: AnswerStarts | None = None,
) -> Iterator[PreTrainedModel]:
    """Displace the output of block ``vector.info.layer`` by ``multiplier * vector`` at every token but BOS.

    A vector with a map (DSPA) edits the last prompt token and the answer instead, as the prompt says. In a conversation the
    prompt is everything so far.

    Works for prompts and for generated tokens, batched or not, with or without KV cache. A multiplier of 0 leaves the model
    untouched, bit for bit. Blocks can be nested: displacements add up in the order entered.

    Args:
        model: a decoder-only transformers model.
        vector: what ``yapo.load_vector`` returns.
        multiplier: λ; the one chosen on validation, from the header, if None.
        sae: the autoencoder of a sparse vector, or by layer the two of a vector with a map; those named in the header if None.
            A vector that carries its features needs none.
        answer_starts: where answers begin in rows that hold prompt and answer, for a vector with a map and a text without the
            marks of a chat; from ids ``[rows, tokens]`` to an index ``[rows]``.

    Raises:
        YapoError: the vector was made for another model, or the autoencoder for another vector.
    """
    strength = vector.info.multiplier if multiplier is None else multiplier
    check_model(model, vector)
    if strength == 0.0:
        yield model
        return
    block = model.model.layers[vector.info.layer]
    device = next(block.parameters()).device  # a model may be spread over several
    intervention, u = _intervention(model, vector, sae, device).focused((strength * vector.values.float())[None].to(device))
    push = intervention.push(u)
    mask: Tensor | None = None
    conversation = None if vector.map is None else Conversation(intervention, vector.map.info.template, answer_starts)

    def note(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal mask
        mask = kwargs.get("attention_mask")
        if conversation is not None:
            cache = kwargs.get("past_key_values")
            ids = kwargs.get("input_ids", args[0] if args else None)
            conversation.begin(ids, mask, 0 if cache is None else int(cache.get_seq_length()))

    def read(_module: torch.nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        assert conversation is not None
        conversation.read((output[0] if isinstance(output, tuple) else output).to(device))

    def edit(_module: torch.nn.Module, _args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        hidden: Tensor = output[0] if isinstance(output, tuple) else output
        live = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        if not vector.info.steer_bos:
            live = live & ~_opens_row(kwargs["position_ids"], mask)
        if conversation is not None:
            live = live & conversation.live().to(hidden.device)
        owner = torch.zeros(len(hidden), 1, dtype=torch.long, device=hidden.device)
        context = None if conversation is None else conversation.context
        edited = intervention.edit(hidden, intervention.codes(hidden), push, owner, live, context)
        return (edited, *output[1:]) if isinstance(output, tuple) else edited

    handles = [model.model.register_forward_pre_hook(note, with_kwargs=True)]
    if intervention.reads is not None:
        handles.append(model.model.layers[intervention.reads].register_forward_hook(read))
    handles.append(block.register_forward_hook(edit, with_kwargs=True))  # after the reading, where both are at one block
    try:
        yield model
    finally:
        for handle in handles:
            handle.remove()


def _opens_row(positions: Tensor, mask: Tensor | None) -> Tensor:
    """True on the first token of each row, ``[rows, tokens]``.

    The mask finds it under left padding too: positions count the padding when the caller gives none.
    """
    if mask is None or mask.ndim != 2:
        return positions == 0
    tokens = positions.shape[1]
    return (mask.cumsum(dim=1) == 1)[:, -tokens:] & (mask[:, -tokens:] > 0)


def check_model(model: PreTrainedModel, vector: SteeringVector) -> None:
    """Refuse a vector made for another model.

    Raises:
        YapoError: other depth, other width, other weights, or a name that does not tell whether the weights are the same.
    """
    info, config = vector.info, model.config
    check_architecture("model", config.model_type)
    if info.layer >= config.num_hidden_layers:
        raise YapoError(
            f"the vector steers layer {info.layer} of {info.model}, but this model has {config.num_hidden_layers} layers"
        )
    if info.space == "dense" and vector.values.shape[-1] != config.hidden_size:
        raise YapoError(
            f"the vector has {vector.values.shape[-1]} entries for {info.model}; this model is {config.hidden_size} wide"
        )
    if config.name_or_path:  # a model made in memory has no weights to compare
        _check_weights(config, info)


def _check_weights(config: PreTrainedConfig, info: VectorInfo) -> None:
    """Refuse other weights: commits are compared with commits, digests with digests."""
    name, made, folders = config.name_or_path, info.model_digest, _folders(config)
    of_hub = is_commit(made)
    here = [snapshot_commit(folder) for folder in folders]
    if of_hub and not any(here):  # a folder outside a cache has no commit, but may be a copy of what the cache holds of it
        original = snapshot_of(Repo("model.path", info.model, made))
        made = weights_digest(original) if missing_file(original) is None else ""
    if not is_commit(made):
        here = [weights_digest(folder) for folder in folders] if made else []
    vectors = f"the vector was made for {info.model} ({info.model_digest})"
    right = f"{info.model} at revision {info.model_digest}" if of_hub else "the weights it was made for"
    fix = f"load {right}, or make a vector for this model"
    if not any(here):
        if name != info.model or Path(name).is_dir():  # a folder may bear the name of a hub model
            raise YapoError(f"{vectors}; nothing here tells whether {name} has the same weights; {fix}")
    elif made not in here:
        raise YapoError(f"{vectors}; {name} has other weights ({', '.join(here)}); {fix}")
    elif made != here[0]:
        warnings.warn(
            f"{vectors}; the cache holds {len(here)} commits of {name}, and a model loaded by its name does not say which it is; "
            f"load it from {folders[here.index(made)]} to be sure",
            stacklevel=5,
        )


def _folders(config: PreTrainedConfig) -> list[Path]:
    """Where a model was read from; of one loaded by its name on the hub, all that the cache holds, the likeliest first."""
    name, commit = config.name_or_path, str(vars(config).get("_commit_hash") or "")
    if Path(name).is_dir():
        return [Path(name)]
    return [snapshot_of(Repo("model.path", name, commit))] if commit else snapshots_with_weights(Repo("model.path", name))


def _intervention(
    model: PreTrainedModel,
    vector: SteeringVector,
    sae: Autoencoder | Mapping[int, Autoencoder] | None,
    device: torch.device,
) -> Intervention:
    named = vector.autoencoders

    def autoencoder(layer: int) -> SAE:
        given = sae.get(layer) if isinstance(sae, Mapping) else None if vector.map is not None else sae
        return given if isinstance(given, SAE) else load_sae(given or named[layer], device=device)

    if vector.map is not None and sae is not None and not isinstance(sae, Mapping):
        raise YapoError(
            f"sae: a vector with a map needs two; give them by layer, {{{', '.join(f'{layer}: ...' for layer in named)}}}"
        )
    return Applied(model.config.hidden_size, autoencoder, device).intervention(vector.info, vector.map, vector.carried)
