"""Models and autoencoders as a user gives them: an object in memory, a folder, or a name on the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from yapo.checks import Dtype
from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE
from yapo.models.sae_places import named_sae
from yapo.models.tokenizer import ChatTokenizer, with_plain_template
from yapo.models.weights import end_ids, load_tokenizer
from yapo.steering.steer_checks import check_kind, digest_of, folders_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

# What a study's settings are called here.
_SETTING = re.compile(r"\b(?:model\.path\b|(?:model|sae|train|method\.options)\.(?=\w))")


@contextmanager
def own_names() -> Iterator[None]:
    """Call settings in errors by their names here: ``model`` for ``model.path``, ``lr`` for ``train.lr``."""
    try:
        yield
    except YapoError as error:
        text = _SETTING.sub(lambda found: "model" if found[0] == "model.path" else "", str(error))
        raise YapoError(text) from None


@contextmanager
def opened_model(
    model: PreTrainedModel | Path | str,
    tokenizer: PreTrainedTokenizerBase | None = None,
    plain: bool = False,
    dtype: Dtype = "float32",
    device: str | None = None,
) -> Iterator[LanguageModel]:
    """Give a model for the length of a block. A model in memory is afterwards as it was before.

    Args:
        model: a transformers model, a folder in Hugging Face format, or a name on the hub.
        tokenizer: of a model in memory; the one in the folder that it was loaded from if None.
        plain: whether prompts are raw texts, for models without a chat template.
        dtype: of the weights, for a model that is loaded here; and ``device``, a GPU if there is one and this is None.

    Raises:
        YapoError: it cannot be loaded or steered, or has no tokenizer with a chat template.
    """
    if isinstance(model, Path | str):
        yield load_language_model(ModelConfig(path=str(model), dtype=dtype), device, plain=plain)
        return
    check_kind(model)
    if "flash" in str(model.config._attn_implementation):
        raise YapoError('model: its attention is flash; load it with attn_implementation="sdpa", which takes masks')
    name = model.config.name_or_path
    if tokenizer is None:
        folders = folders_of(model.config) if name else []
        if not folders:
            raise YapoError(f"tokenizer=None: {name or 'this model'} was not loaded from a folder; give its tokenizer")
        chat = load_tokenizer(folders[0], name, model, plain)
    else:
        chat = ChatTokenizer(with_plain_template(tokenizer) if plain else tokenizer, end_ids(model, name))
    training, grads = model.training, {id(p): p.requires_grad for p in model.parameters()}
    try:
        yield LanguageModel(model, chat, name, digest_of(model.config))
    finally:
        model.train(training)
        for parameter in model.parameters():
            parameter.requires_grad_(grads[id(parameter)])


def opened_sae(sae: SAE | Path | str, device: torch.device) -> SAE:
    """Return an autoencoder on a device; read by ``named_sae`` where a path or name is given."""
    return sae.to(device) if isinstance(sae, SAE) else named_sae(sae, device)
