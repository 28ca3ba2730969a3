"""A transformers model as a GGUF file of llama.cpp, in float32 and without a tokenizer: both then read the same tokens."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from transformers import PreTrainedModel

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
}
OWN_NAMES = {
    "llama": {"post_attention_layernorm": "ffn_norm"},
    "gemma2": {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    },
}


def write_gguf_model(model: PreTrainedModel, path: Path) -> None:
    """Write a Llama or Gemma-2 model with tied embeddings."""
    config = model.config
    kind, names = config.model_type, NAMES | OWN_NAMES[config.model_type]
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, kind)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    if kind == "gemma2":
        assert config.query_pre_attn_scalar == head_dim  # which llama.cpp takes for granted
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
        writer.add_sliding_window(config.sliding_window)
    for name, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        if name.startswith("model.layers."):
            _, _, block, rest = name.split(".", 3)
            part = rest.removesuffix(".weight")
            if kind == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
                values = _interleaved(values, len(values) // head_dim)
            writer.add_tensor(f"blk.{block}.{names[part]}.weight", _norm(values, kind))
        elif name == "model.embed_tokens.weight":
            writer.add_tensor("token_embd.weight", values)
        elif name == "model.norm.weight":
            writer.add_tensor("output_norm.weight", _norm(values, kind))
        else:
            assert name == "lm_head.weight" and config.tie_word_embeddings, name
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _norm(values: np.ndarray, kind: str) -> np.ndarray:
    """Gemma's norms multiply by 1 + weight; llama.cpp wants that sum."""
    return values + 1 if kind == "gemma2" and values.ndim == 1 else values


def _interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a projection with the two halves of each rotated pair side by side, as llama.cpp rotates them for this family."""
    return values.reshape(heads, 2, -1, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)
