"""Convert a llama model in a GGUF file into a Hugging Face folder of full precision."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from yapo.errors import YapoError, require_extra


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the model of a GGUF file, float32, its tokenizer and its chat template into a folder.

    Transformers reads the file, but does not save what it read; so the same weights are put into a model of its own.

    Args:
        path: the GGUF file.
        folder: where ``config.json``, ``model.safetensors``, ``tokenizer.json`` and the chat template go; made if need be.

    Raises:
        YapoError: the file cannot be read, or holds no llama model.
    """
    require_extra("smollm2", "gguf")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        read = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise YapoError(f"{path}: cannot be read as a GGUF model ({' '.join(str(error).split())}); get it again") from None
    if not isinstance(read, LlamaForCausalLM):
        raise YapoError(f"{path}: holds a model of type {read.config.model_type}, not llama; convert it by other means")
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(read.state_dict())
    # The file names its way of splitting text ("smollm"), which Transformers does not read: every digit is a token of its own.
    digits = Digits(individual_digits=True)
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence([digits, ByteLevel(add_prefix_space=False, use_regex=True)])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
