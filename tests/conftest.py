"""Small real models of each supported architecture, made from their configs; no download, no training."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from world.build.corpus import Corpus
from world.build.tokenizer import train_tokenizer
from yapo.data.atlas import load_atlas
from yapo.files import digest
from yapo.models import language_model
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE, Activation
from yapo.models.tokenizer import ChatTokenizer

ROOT = Path(__file__).resolve().parents[1]
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}


if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as in what a script starts with &; the commands under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    said = "put models where a GPU would be (tests/pretended_device.py)"
    parser.addoption("--pretended-device", action="store_true", help=said)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--pretended-device"):
        from tests.pretended_device import DEVICE

        language_model.default_device = lambda: DEVICE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, the DAG and the pages, so that no process waits for them at the end."""
    longest = ("tests/workflow/", "tests/docs/")
    items.sort(key=lambda item: next((i for i, start in enumerate(longest) if item.nodeid.startswith(start)), len(longest)))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No test reads or writes what the package remembers for this user, or for another test."""
    monkeypatch.setenv("YAPO_CACHE", str(tmp_path_factory.getbasetemp() / "cache" / digest(request.node.nodeid)))


def tiny_model(kind: str, vocab_size: int) -> PreTrainedModel:
    """A random model with weights large enough for logits to differ, and windows shorter than the prompts."""
    torch.manual_seed(3)
    common = {**SHAPE, "vocab_size": vocab_size, "attn_implementation": "eager", "pad_token_id": 0, "tie_word_embeddings": True}
    if kind == "gemma2":
        model = Gemma2ForCausalLM(Gemma2Config(**common, sliding_window=6, query_pre_attn_scalar=8))
    elif kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**common))
    elif kind == "qwen2":
        windows = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 2}
        model = Qwen2ForCausalLM(Qwen2Config(**{k: v for k, v in common.items() if k != "head_dim"}, **windows))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**common))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.25)
    return model.eval()


@pytest.fixture(scope="session")
def tokenizer() -> ChatTokenizer:
    return ChatTokenizer(train_tokenizer(Corpus(load_atlas()).strings(), 600))


@pytest.fixture(scope="session", params=["gemma2", "llama", "qwen2", "qwen3"])
def lm(request: pytest.FixtureRequest, tokenizer: ChatTokenizer) -> LanguageModel:
    return LanguageModel(tiny_model(request.param, len(tokenizer.tokenizer)), tokenizer, f"tiny {request.param}", request.param)


@pytest.fixture(scope="session")
def gemma(tokenizer: ChatTokenizer) -> LanguageModel:
    return LanguageModel(tiny_model("gemma2", len(tokenizer.tokenizer)), tokenizer, "tiny gemma2", "gemma2")


@pytest.fixture(scope="session")
def sae() -> SAE:
    return random_sae("jumprelu")


@pytest.fixture(scope="session", params=["jumprelu", "relu", "topk"])
def any_sae(request: pytest.FixtureRequest) -> SAE:
    return random_sae(request.param)


def random_sae(activation: Activation) -> SAE:
    """A random autoencoder of width 64 in which about a quarter of the features fire (half of them for plain ReLU)."""
    g = torch.Generator().manual_seed(5)
    return SAE(
        W_enc=torch.randn(32, 64, generator=g) / 32**0.5,
        b_enc=0.1 * torch.randn(64, generator=g),
        W_dec=torch.nn.functional.normalize(torch.randn(64, 32, generator=g), dim=1),
        b_dec=0.1 * torch.randn(32, generator=g),
        activation=activation,
        threshold=torch.full((64,), 0.5) if activation == "jumprelu" else None,
        k=16 if activation == "topk" else None,
        apply_b_dec_to_input=activation == "topk",
        source=f"random {activation}",
        layer=None,
        hook_name=None,
        model_name=None,
    )
