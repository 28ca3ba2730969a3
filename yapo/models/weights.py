"""Read a model's configuration and weights from a folder: complete, finite, by the library's own code alone.

The library takes a missing tensor from a random draw and leaves out one that it has no place for; both are refused here. Code in
a model's folder (``auto_map``) never runs, whatever a terminal would be asked.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as library_logging

from yapo.errors import YapoError
from yapo.models.tokenizer import ChatTokenizer
from yapo.tensors import not_finite

log = logging.getLogger(__name__)
SUPPORTED = ("gemma2", "llama", "qwen2", "qwen3")
UNUSED = re.compile(r"rotary_emb\.inv_freq$")  # old checkpoints hold what the configuration already says
NAMED = 3  # tensors that an error names


def check_architecture(source: str, kind: object, own_code: bool = False) -> None:
    """Refuse a model whose blocks this project cannot run.

    Raises:
        YapoError: ``kind`` is none of ``SUPPORTED``; says that code in its folder is not run, where it has some.
    """
    if kind not in SUPPORTED:
        never = " (code in a model's folder, named by auto_map, is never run)" if own_code else ""
        raise YapoError(f"{source}: architecture '{kind}' is not supported{never}; use one of {', '.join(SUPPORTED)}")


def load_config(folder: Path, source: str) -> PreTrainedConfig:
    """Read the configuration of a supported model.

    Args:
        folder: where ``config.json`` is.
        source: the model as the user named it.

    Raises:
        YapoError: it is damaged, of another architecture, quantised, or the library refuses it.
    """
    raw, own_code = _object(folder / "config.json", source), False
    for name in ("config.json", "tokenizer_config.json"):
        own_code |= (folder / name).is_file() and "auto_map" in _object(folder / name, source)
    check_architecture(f"model.path={source}", raw.get("model_type"), own_code)
    if raw.get("quantization_config") is not None:
        raise YapoError(
            f"model.path={source}: quantised weights (quantization_config) are not read; give the model they come from"
        )
    if own_code:
        log.warning("%s: code in its folder (auto_map) is never run; the library's %s is", source, raw["model_type"])
    if (folder / "generation_config.json").is_file():
        _object(folder / "generation_config.json", source)
    with explained(source):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def load_weights(folder: Path, config: PreTrainedConfig, source: str, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    """Read a model whose every tensor is in its files, and whose files hold no other.

    Args:
        folder: in Hugging Face format, the weights as safetensors.
        config: what ``load_config`` returned.
        source: the model as the user named it.
        dtype: of the weights.
        attention: the library's name of the implementation.

    Raises:
        YapoError: files are damaged; tensors are missing, left over or of another shape.
    """
    with explained(source), _quiet():
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, by name
        )
    asked = f"config.json asks for {config.num_hidden_layers} layers of {config.model_type}"
    missing, extra = info["missing_keys"], [name for name in info["unexpected_keys"] if not UNUSED.search(name)]
    for name, held, wanted in sorted(info["mismatched_keys"]):
        raise YapoError(
            f"model.path={source}: {name} has shape {tuple(held)}, but config.json asks for {tuple(wanted)}; "
            "take both from the same model"
        )
    if missing:
        raise YapoError(f"model.path={source}: the weights lack {_some(missing)}; {asked}; fetch or copy the whole model again")
    if extra:
        raise YapoError(f"model.path={source}: the weights hold {_some(extra)}; {asked}; take both from the same model")
    return model


def load_tokenizer(folder: Path, source: str, model: PreTrainedModel) -> ChatTokenizer:
    """Read the tokenizer of a model.

    Raises:
        YapoError: it is damaged, has tokens that the model's embedding has not, or no chat template that can be used.
    """
    with explained(source):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        vocabulary, rows = tokenizer.get_vocab(), model.get_input_embeddings().num_embeddings
    tokenizer.name_or_path = source
    beyond = {token: i for token, i in vocabulary.items() if i >= rows}
    if beyond:
        raise YapoError(
            f"model.path={source}: the tokenizer has {len(beyond)} tokens beyond the {rows} that the model embeds, such as "
            f"{min(beyond, key=lambda token: beyond[token])!r}; give the model's own tokenizer"
        )
    return ChatTokenizer(tokenizer, end_ids(model, source))


def end_ids(model: PreTrainedModel, source: str) -> frozenset[int]:
    """Return every id that the model's configurations call an end (``eos_token_id``): none, one or several each.

    Raises:
        YapoError: one is no token id.
    """
    ends = set[int]()
    for config in (model.config, model.generation_config):
        value = getattr(config, "eos_token_id", None)
        for token in value if isinstance(value, list | tuple) else [value]:
            if token is not None and (isinstance(token, bool) or not isinstance(token, int)):
                raise YapoError(f"{source}: eos_token_id is {value!r}; write a token's number, or a list of them")
            ends |= set() if token is None else {token}
    return frozenset(ends)


def check_finite(model: PreTrainedModel, source: str) -> None:
    """Refuse NaN and infinity in the weights; see ``not_finite`` for what it costs.

    Raises:
        YapoError: a tensor holds one.
    """
    bad = not_finite(model.named_parameters())
    if bad is not None:
        raise YapoError(f"model.path={source}: {bad} holds NaN or infinity; fetch the weights again, or take another dtype")


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turn whatever the library raises on a foreign folder into one sentence."""
    try:
        yield
    except YapoError:
        raise
    except Exception as error:  # of many kinds, from many libraries, none of them documented
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise YapoError(f"model.path={source}: cannot be loaded ({reason}); fetch or copy the folder again") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's table of tensors that do not fit; the error names them."""
    level = library_logging.get_verbosity()
    library_logging.set_verbosity_error()
    try:
        yield
    finally:
        library_logging.set_verbosity(level)


def _object(path: Path, source: str) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise YapoError(f"model.path={source}: {path} is not valid JSON ({error}); fetch or copy it again") from None
    if not isinstance(read, dict):
        raise YapoError(f"model.path={source}: {path} is not a JSON object; fetch or copy it again")
    return read


def _some(names: Collection[str]) -> str:
    shown: Sequence[str] = sorted(names)[:NAMED]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(shown)}{more}"
