"""Read a model's configuration and weights from a folder: complete, finite, by the library's own code alone.

The library takes a missing tensor from a random draw and leaves out one that it has no place for; both are refused here. Code in
a model's folder (``auto_map``) never runs, whatever a terminal would be asked.
"""

from __future__ import annotations

import logging
import math
import re
from codecs import BOM_UTF8
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as library_logging

from yapo.errors import YapoError
from yapo.files import read_json
from yapo.models.checkpoint import weight_files
from yapo.models.tokenizer import ChatTokenizer, with_plain_template
from yapo.tensors import tensor_table

log = logging.getLogger(__name__)
SUPPORTED = ("gemma2", "llama", "qwen2", "qwen3")
UNUSED = re.compile(r"rotary_emb\.inv_freq$")  # old checkpoints hold what the configuration already says
# What the library reads beside the index of the weights. It takes the last of two values for a key, and other programs the first.
JSON_FILES = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "chat_template.json"),
)
NAMED = 3  # tensors that an error names
POSITIVE = (
    *("final_logit_softcapping", "attn_logit_softcapping", "query_pre_attn_scalar", "rms_norm_eps", "sliding_window"),
    *("rope_theta", "factor", "low_freq_factor", "high_freq_factor", "attention_factor", "partial_rotary_factor"),
    *("original_max_position_embeddings", "max_position_embeddings"),
)


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
        YapoError: it is damaged, of another architecture, quantised, holds numbers that compute nothing, or the library refuses
            it.
    """
    marked = next((path for path in (*folder.glob("*.json"), *folder.glob("*.jinja")) if _has_mark(path)), None)
    if marked is not None:
        raise YapoError(
            f"model.path={source}: {marked.name} begins with a byte order mark, which the library takes for text; save it as "
            "UTF-8 without one"
        )
    held = {name: _object(folder / name, source) for name in JSON_FILES if (folder / name).is_file()}
    raw, own_code = held["config.json"], any("auto_map" in each for each in held.values())
    check_architecture(f"model.path={source}", raw.get("model_type"), own_code)
    if raw.get("quantization_config") is not None:
        raise YapoError(
            f"model.path={source}: quantised weights (quantization_config) are not read; give the model they come from"
        )
    ignored = raw["model_type"] != "gemma2" and not raw.get("use_sliding_window")
    for name, value in _numbers(raw):
        infinite = isinstance(value, float) and not math.isfinite(value)
        if infinite or (name in POSITIVE and value <= 0 and not (ignored and name == "sliding_window")):
            wanted = f"a finite number{' above 0' if name in POSITIVE else ''}"
            raise YapoError(f"model.path={source}: {name} is {value} in config.json; write {wanted}, or fetch or copy it again")
    if own_code:
        log.warning("%s: code in its folder (auto_map) is never run; the library's %s is", source, raw["model_type"])
    with library_errors(source):
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
        YapoError: files are damaged; tensors are missing, left over, of another shape or of whole numbers.
    """
    with library_errors(source), _quiet():
        _check_types(folder, source)
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


def load_tokenizer(folder: Path, source: str, model: PreTrainedModel, plain: bool = False) -> ChatTokenizer:
    """Read the tokenizer of a model; ``plain`` for prompts that are raw texts instead of chats.

    Raises:
        YapoError: it is damaged, has tokens that the model's embedding has not, or no chat template that can be used.
    """
    with library_errors(source):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        vocabulary, rows = tokenizer.get_vocab(), model.get_input_embeddings().num_embeddings
        end, fast_file = tokenizer.eos_token, folder / "tokenizer.json"
        is_late = end is not None and vocabulary.get(end, len(vocabulary)) >= len(vocabulary) - len(tokenizer.special_tokens_map)
        if is_late and fast_file.is_file() and Tokenizer.from_file(str(fast_file)).token_to_id(end) is None:
            raise YapoError(
                f"model.path={source}: eos_token is {end!r} in tokenizer_config.json, which is no token of {fast_file.name}; "
                "take both from the same model"
            )
        tokenizer.name_or_path = source
        beyond = {token: i for token, i in vocabulary.items() if i >= rows}
        if beyond:
            raise YapoError(
                f"model.path={source}: the tokenizer has {len(beyond)} tokens beyond the {rows} that the model embeds, such as "
                f"{min(beyond, key=lambda token: beyond[token])!r}; give the model's own tokenizer"
            )
        return ChatTokenizer(with_plain_template(tokenizer) if plain else tokenizer, end_ids(model, source))


def end_ids(model: PreTrainedModel, source: str) -> frozenset[int]:
    """Return every id that the model's configurations call an end (``eos_token_id``): none, one or several each.

    Raises:
        YapoError: one is no token id of the model.
    """
    ends, rows = set[int](), model.get_input_embeddings().num_embeddings
    for config in (model.config, model.generation_config):
        value = getattr(config, "eos_token_id", None)
        for token in value if isinstance(value, list | tuple) else [value]:
            if token is not None and (isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < rows):
                raise YapoError(
                    f"{source}: eos_token_id is {value!r}; write a token's number, 0 to {rows - 1}, or a list of them"
                )
            ends |= set() if token is None else {token}
    return frozenset(ends)


@contextmanager
def library_errors(source: str) -> Iterator[None]:
    """Turn whatever the library raises on a foreign folder into one sentence."""
    try:
        yield
    except YapoError:
        raise
    except Exception as error:  # of many kinds, from many libraries, none of them documented
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
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
    read = read_json(path, "fetch or copy it again")
    if not isinstance(read, dict):
        raise YapoError(f"model.path={source}: {path} is not a JSON object; fetch or copy it again")
    return read


def _has_mark(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(BOM_UTF8)) == BOM_UTF8


def _numbers(value: object, name: str = "") -> Iterator[tuple[str, int | float]]:
    """Yield every number of a configuration with the key that it stands under."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def _check_types(folder: Path, source: str) -> None:
    """Refuse tensors that stand twice, and whole numbers, which the library would take for rounded ones; reads headers alone."""
    files: dict[str, str] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt"):
            table = tensor_table(path)
        for name in table.keys() - {"__metadata__"}:
            kind = table[name]["dtype"]
            if not kind.startswith(("F", "BF")):
                raise YapoError(
                    f"model.path={source}: {name} of {path.name} holds {kind} numbers; save it in a floating-point type"
                )
            if files.setdefault(name, path.name) != path.name:
                raise YapoError(
                    f"model.path={source}: {name} stands in both {files[name]} and {path.name}; fetch or copy the model again"
                )


def _some(names: Collection[str]) -> str:
    shown: Sequence[str] = sorted(names)[:NAMED]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(shown)}{more}"
