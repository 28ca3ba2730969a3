"""Steer a Hugging Face model inside a ``with`` block that undoes itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ContextDecorator, ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.models.sae_places import find_sae, named_sae
from yapo.steering.conversation import AnswerStarts, Conversation
from yapo.steering.interventions import Intervention
from yapo.steering.steer_checks import check_model, check_vector, scaled_vector, strength_of
from yapo.steering.vector import SteeringVector

Autoencoder = SAE | Path | str


class _Reusable(ContextDecorator, AbstractContextManager[PreTrainedModel, None]):
    """A ``with`` block that may be entered again, also inside itself."""

    def __init__(self, begin: Callable[[], AbstractContextManager[PreTrainedModel]]) -> None:
        self._begin, self._open = begin, list[AbstractContextManager[PreTrainedModel]]()

    def __enter__(self) -> PreTrainedModel:
        block = self._begin()
        model = block.__enter__()
        self._open.append(block)
        return model

    def __exit__(self, *error: Any) -> None:
        self._open.pop().__exit__(*error)


def steer(
    model: PreTrainedModel,
    vector: SteeringVector | Sequence[SteeringVector],
    multiplier: float | Sequence[float] | None = None,
    sae: Autoencoder | Mapping[int, Autoencoder] | None = None,
    answer_starts: AnswerStarts | None = None,
) -> AbstractContextManager[PreTrainedModel]:
    """Displace the output of block ``vector.info.layer`` by ``multiplier * vector`` at every token but BOS.

    A vector with a map (DSPA) edits the last prompt token and the answer instead, as the prompt says. In a conversation the
    prompt is everything so far.

    Works for prompts and for generated tokens, batched or not, with or without KV cache. A multiplier of 0 leaves the model
    untouched, bit for bit. The edits of several vectors, of one layer or several, add up in the order of the list; blocks can
    also be nested.

    Examples:
        >>> import torch, yapo
        >>> from transformers import AutoModelForCausalLM
        >>> model = AutoModelForCausalLM.from_pretrained("world/model")
        >>> pairs = [{"prompt": f"What is {n}?", "chosen": f"It is {n}.", "rejected": f"{n}."} for n in range(10, 20)]
        >>> vectors = [yapo.train(model, pairs, layer=layer) for layer in (1, 3)]
        >>> ids = torch.tensor([[1, 5, 6, 7]])
        >>> plain = model(ids).logits
        >>> with yapo.steer(model, vectors, multiplier=0.5):
        ...     steered = model(ids).logits
        >>> torch.equal(plain, steered), torch.equal(plain, model(ids).logits)
        (False, True)

    Args:
        model: a decoder-only transformers model.
        vector: what ``yapo.load_vector`` returns, or a list of such.
        multiplier: λ; the one chosen on validation, from the header, if None. Of a list of vectors one for all, or a list.
        sae: the autoencoder of a sparse vector, or by layer the two of a vector with a map; those named in the header if None.
            A vector that carries its features needs none.
        answer_starts: where answers begin in rows that hold prompt and answer, for a vector with a map and a text without the
            marks of a chat; from ids ``[rows, tokens]`` to an index ``[rows]``.

    Raises:
        YapoError: the multiplier is no number, the model cannot be steered, the vector was made for another model, or the
            autoencoder for another vector.
    """
    if not isinstance(vector, list | tuple):
        strength = cast("float | None", multiplier)  # a list is refused where the block is entered
        return _Reusable(lambda: _steer(model, cast(SteeringVector, vector), strength, sae, answer_starts))
    if not vector:
        raise YapoError("vector=[]: no vector; give at least one")
    strengths = list(multiplier) if isinstance(multiplier, list | tuple) else [cast("float | None", multiplier)] * len(vector)
    if len(strengths) != len(vector):
        raise YapoError(f"multiplier: {len(strengths)} numbers for {len(vector)} vectors; give one for each, or one for all")
    return _Reusable(lambda: _steer_all(model, vector, strengths, sae, answer_starts))


@contextmanager
def _steer_all(
    model: PreTrainedModel,
    vectors: Sequence[SteeringVector],
    strengths: Sequence[float | None],
    sae: Autoencoder | Mapping[int, Autoencoder] | None,
    answer_starts: AnswerStarts | None,
) -> Iterator[PreTrainedModel]:
    with ExitStack() as blocks:
        for vector, strength in zip(vectors, strengths, strict=True):
            blocks.enter_context(_steer(model, vector, strength, sae, answer_starts))
        yield model


@contextmanager
def _steer(
    model: PreTrainedModel,
    vector: SteeringVector,
    multiplier: float | None,
    sae: Autoencoder | Mapping[int, Autoencoder] | None,
    answer_starts: AnswerStarts | None,
) -> Iterator[PreTrainedModel]:
    check_vector(vector)
    strength = strength_of(multiplier, vector)
    check_model(model, vector)
    if answer_starts is not None and not callable(answer_starts):
        raise YapoError(f"answer_starts={answer_starts!r}: not a function; give one from ids [rows, tokens] to an index [rows]")
    if strength == 0.0:
        yield model
        return
    block = model.model.layers[vector.info.layer]
    device = next(block.parameters()).device  # a model may be spread over several
    whole = intervention_for(model, vector, sae, device)
    intervention, u = whole.restrict(scaled_vector(vector, strength, whole.width)[None].to(device))
    state = intervention.edit_state(u)
    mask: Tensor | None = None
    conversation = None if intervention.reads is None else Conversation(intervention, answer_starts)

    def note(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal mask
        cache, given = kwargs.get("cache", kwargs.get("past_key_values")), kwargs.get("attention_mask")
        ids = kwargs.get("input_ids", args[0] if args else None)
        cached = 0 if cache is None else int(cache.get_seq_length())
        mask = padding_of(given, cached, ids if ids is not None else kwargs.get("inputs_embeds"))
        if conversation is not None:
            conversation.begin(ids, mask, cached)

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
        edited = intervention.edit(hidden, intervention.codes(hidden), state, owner, live, context)
        return (edited, *output[1:]) if isinstance(output, tuple) else edited

    handles = [model.model.register_forward_pre_hook(note, with_kwargs=True)]
    if intervention.reads is not None:
        handles.append(model.model.layers[intervention.reads].register_forward_hook(read))
    handles.append(block.register_forward_hook(edit, with_kwargs=True))  # after the reading, where both are at one block
    try:
        with _not_compiled(model):
            yield model
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _not_compiled(model: PreTrainedModel) -> Iterator[None]:
    """Keep generation with a static cache from compiling the forward pass, as it does on a GPU: that would miss or keep hooks."""
    config = model.generation_config
    before = None if config is None else config.disable_compile
    if config is not None:
        config.disable_compile = True
    try:
        yield
    finally:
        if config is not None:
            config.disable_compile = before


def padding_of(given: Any, cached: int, new: Tensor | None) -> Tensor | None:
    """Find the tokens that are no padding, ``[rows, tokens]``, in any mask that a model is given; None if all are real.

    A static cache comes with masks ``[rows, 1, new tokens, cache]`` for each kind of layer: additive, or True where a token is
    read. The last token reads all that are real, up to itself.
    """
    mask: Tensor | None = given.get("full_attention") if isinstance(given, Mapping) else given
    if mask is None or mask.ndim != 4 or new is None:
        return mask if mask is not None and mask.ndim == 2 else None
    read = mask[:, 0, -1, : cached + new.shape[1]]
    return read if read.dtype == torch.bool else read == 0


def _opens_row(positions: Tensor, mask: Tensor | None) -> Tensor:
    """Find the first token of each row, ``[rows, tokens]``.

    The mask finds it under left padding too: positions count the padding when the caller gives none.
    """
    if mask is None:
        return positions == 0
    tokens, mask = positions.shape[1], mask.to(positions.device)  # of a model that is spread over several devices
    return (mask.cumsum(dim=1) == 1)[:, -tokens:] & (mask[:, -tokens:] > 0)


def intervention_for(
    model: PreTrainedModel,
    vector: SteeringVector,
    sae: Autoencoder | Mapping[int, Autoencoder] | None,
    device: torch.device,
) -> Intervention:
    """Return how a vector is applied to a model; ``sae`` as for ``steer``.

    Raises:
        YapoError: an autoencoder is not there, or not the vector's.
    """
    named = vector.autoencoders

    def autoencoder(layer: int) -> SAE:
        given = sae.get(layer) if isinstance(sae, Mapping) else sae
        if given is None:
            digest = vector.info.sae_digest if layer == vector.info.layer else ""
            return find_sae(named[layer], digest, vector.file, device)
        if not isinstance(given, SAE | Path | str):
            raise YapoError(f"sae: {type(given).__name__} for layer {layer}; give an autoencoder, or the folder or file of one")
        return given if isinstance(given, SAE) else named_sae(given, device)

    if len(named) > 1 and sae is not None and not isinstance(sae, Mapping):
        raise YapoError(f"sae: this vector needs {len(named)}; give them by layer, {{{', '.join(f'{n}: ...' for n in named)}}}")
    return vector.intervention(model.config.hidden_size, autoencoder, device)
