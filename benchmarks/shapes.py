"""Models, autoencoders and pairs to measure on: the shipped tiny world, and random weights in the shapes of larger models.

Random weights cost what trained ones cost, except where the cost depends on which features fire. The random autoencoders get
one threshold for all features, set so that the stated number fires on the average token; how many features fire somewhere in
the pairs (the ones that are trained) follows from that, and is reported.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedModel

from world.smollm2.fetch import default_folder
from yapo.config import ModelConfig
from yapo.data.atlas import load_atlas
from yapo.data.prompts import PromptFormat
from yapo.models import attention
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.norm import fuse_norms
from yapo.models.sae import SAE, load_sae
from yapo.models.tokenizer import ChatTokenizer
from yapo.steering.activations import ActivationStore, StoreKey
from yapo.steering.pair_batch import TokenPair
from yapo.steering.sparse_codes import SparseCodes

ROOT = Path(__file__).resolve().parents[1]
WORLD = ROOT / "world"
FIRST_ID = 6  # ids below are the shipped tokenizer's special tokens
CALIBRATION = 128  # tokens that decide a random autoencoder's threshold


@dataclass(frozen=True)
class Shape:
    """A Gemma-2 model, an autoencoder of its layer ``layer``, and how long prompts and answers are.

    ``prompt`` and ``answer`` hold median and maximum of their tokens; lengths are log-normal, so uneven as in real data.
    ``first`` is the lowest block that is resident: above 0, nothing that needs the whole model can be measured.
    """

    name: str
    layers: int
    d_model: int
    d_ff: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    window: int
    layer: int
    d_sae: int
    l0: int
    dtype: torch.dtype
    prompt: tuple[int, int]
    answer: tuple[int, int]
    first: int = 0

    @property
    def block_parameters(self) -> int:
        """Weights of one block, norms left out."""
        attention = 2 * self.d_model * self.head_dim * (self.heads + self.kv_heads)
        return attention + 3 * self.d_model * self.d_ff

    @property
    def parameters(self) -> int:
        """Resident weights; the head is the embedding."""
        return (self.layers - self.first) * self.block_parameters + self.vocabulary * self.d_model

    @property
    def weight_bytes(self) -> int:
        """Of model and autoencoder (float32)."""
        return self.parameters * self.dtype.itemsize + 2 * self.d_sae * self.d_model * 4

    def longest(self) -> int:
        """Tokens of the longest row of a pair."""
        return self.prompt[1] + self.answer[1]


SHAPES = {
    shape.name: shape
    for shape in (
        # The shape of the shipped world; its weights are read, not drawn.
        Shape("tiny", 6, 96, 256, 3, 1, 32, 4096, 256, 2, 1024, 16, torch.float32, (20, 60), (4, 16)),
        Shape("smollm2", 30, 576, 1536, 9, 3, 64, 49152, 8192, 15, 4096, 32, torch.float32, (80, 140), (8, 32)),  # likewise
        Shape("small", 8, 256, 1024, 4, 2, 64, 16384, 128, 4, 8192, 50, torch.float32, (60, 160), (12, 40)),
        Shape("100m", 12, 512, 3072, 8, 4, 64, 65536, 128, 6, 16384, 70, torch.float32, (100, 256), (20, 80)),
        Shape("gemma2-2b", 26, 2304, 9216, 8, 4, 256, 256000, 4096, 15, 65536, 70, torch.bfloat16, (300, 512), (60, 256)),
        Shape("gemma2-9b", 42, 3584, 14336, 16, 8, 256, 256000, 4096, 28, 131072, 98, torch.bfloat16, (300, 512), (60, 256), 29),
    )
}
# Trained models: folder, folder of autoencoders, and the languages they read (all, if empty).
REAL = {
    "tiny": (WORLD / "model", WORLD / "sae", ()),
    "smollm2": (default_folder(), WORLD / "smollm2" / "sae", ("english",)),
}


@dataclass(frozen=True)
class Setup:
    """Everything of one shape, on the device.

    Attributes:
        shape: which.
        lm: as the pipeline loads it.
        plain: the same weights in the library's own code.
        sae: the autoencoder of the steered block.
        pairs: to train on.
    """

    shape: Shape
    lm: LanguageModel
    plain: PreTrainedModel
    sae: SAE
    pairs: list[TokenPair]


def make(shape: Shape, device: torch.device, pairs: int, seed: int) -> Setup:
    """Build a shape; call ``why_not`` first.

    Args:
        shape: which.
        device: weights are drawn there.
        pairs: how many.
        seed: of weights, lengths and ids.
    """
    if shape.name in REAL:
        model, sae, languages = REAL[shape.name]
        lm = load_language_model(ModelConfig(str(model)), str(device))
        plain = load_language_model(ModelConfig(str(model), attention="eager"), str(device)).model
        return Setup(shape, lm, plain, load_sae(sae / f"layer_{shape.layer}", device), _world_pairs(lm, pairs, seed, languages))
    lm = random_model(shape, device, seed)
    plain = copy.deepcopy(lm.model, {id(weight): weight for weight in lm.model.parameters()})  # weights are shared
    lm.model.set_attn_implementation(attention.NAME)
    fuse_norms(lm.model)
    drawn = random_pairs(shape, lm.tokenizer, pairs, seed)
    states = sample_states(lm, shape, drawn, seed)
    return Setup(shape, lm, plain, random_sae(states, shape.d_sae, shape.l0, seed), drawn)


def random_model(shape: Shape, device: torch.device, seed: int) -> LanguageModel:
    """A Gemma-2 of random weights whose blocks below ``shape.first`` never exist."""
    config = Gemma2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.d_model,
        intermediate_size=shape.d_ff,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        query_pre_attn_scalar=shape.head_dim,
        max_position_embeddings=8192,
        sliding_window=shape.window,
        attn_implementation="eager",
        pad_token_id=0,
        eos_token_id=5,
        bos_token_id=2,
    )
    with torch.device("meta"):
        model = Gemma2ForCausalLM(config).to(shape.dtype)
    shipped = load_language_model(ModelConfig(str(WORLD / "model")), "cpu")
    lm = LanguageModel(model, ChatTokenizer(shipped.tokenizer.tokenizer), f"random {shape.name}", f"random {shape.name} {seed}")
    lm.keep_upper(shape.first)
    model.to_empty(device=device)
    model.tie_weights()
    generator = torch.Generator(device).manual_seed(seed)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.normal_(std=0.02, generator=generator)
        else:
            parameter.zero_()
    # Buffers that are computed, not stored.
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    model.model.embed_tokens.embed_scale.fill_(shape.d_model**0.5)
    return lm


def random_sae(states: Tensor, d_sae: int, l0: int, seed: int) -> SAE:
    """A JumpReLU autoencoder of unit-norm decoder rows; ``l0`` features fire on the average of ``states [n, d_model]``."""
    device, d_model = states.device, states.shape[1]
    generator = torch.Generator(device).manual_seed(seed + 1)
    directions = torch.randn(d_sae, d_model, generator=generator, device=device)
    directions = nn.functional.normalize(directions, dim=1)
    encoder = directions.T.contiguous()
    threshold = float((states.float() @ encoder).flatten().topk(l0 * len(states)).values[-1])
    return SAE(
        W_enc=encoder,
        b_enc=torch.zeros(d_sae, device=device),
        W_dec=directions,
        b_dec=torch.zeros(d_model, device=device),
        activation="jumprelu",
        threshold=torch.full((d_sae,), threshold, device=device),
        k=None,
        apply_b_dec_to_input=False,
        source=f"random {d_sae}",
        layer=None,
        hook_name=None,
        model_name=None,
    )


def random_pairs(shape: Shape, tokenizer: ChatTokenizer, number: int, seed: int) -> list[TokenPair]:
    """Pairs of random ids; answers end with the end of the turn."""
    rng = np.random.default_rng(seed)

    def ids(length: int) -> list[int]:
        return [int(i) for i in rng.integers(FIRST_ID, shape.vocabulary, length)]

    def length(median: int, most: int) -> int:
        return int(np.clip(rng.lognormal(np.log(median), 0.5), 4, most))

    return [
        TokenPair(
            [2, *ids(length(*shape.prompt) - 1)], *([*ids(length(*shape.answer) - 1), tokenizer.end_of_turn] for _ in range(2))
        )
        for _ in range(number)
    ]


@torch.no_grad()
def sample_states(lm: LanguageModel, shape: Shape, pairs: list[TokenPair], seed: int) -> Tensor:
    """Residual stream after the steered block at some tokens, BOS left out, ``[n, d_model]``.

    Gaussian, of the norm that the embedding has, where the blocks below are not resident.
    """
    if shape.first > 0:
        generator = torch.Generator(lm.device).manual_seed(seed + 2)
        return torch.randn(CALIBRATION, shape.d_model, generator=generator, device=lm.device)
    found, missing = [], CALIBRATION
    for pair in pairs:
        ids = torch.tensor([pair.tokens[: missing + 1]], device=lm.device)
        found.append(lm.model.model(input_ids=ids, output_hidden_states=True).hidden_states[shape.layer + 1][0, 1:])
        missing -= len(found[-1])
        if missing == 0:
            break
    return torch.cat(found)


@torch.no_grad()
def synthetic_store(setup: Setup, seed: int) -> ActivationStore:
    """A store of Gaussian states, for a model whose lower blocks are not resident."""
    lm, shape = setup.lm, setup.shape
    generator = torch.Generator(lm.device).manual_seed(seed + 3)
    hidden, codes = [], []
    for pair in setup.pairs:
        states = torch.randn(len(pair.tokens), shape.d_model, generator=generator, device=lm.device).to(lm.dtype)
        codes.append(SparseCodes.of(setup.sae, states[None]).to(torch.device("cpu")))
        hidden.append(states.cpu())
    key = StoreKey.of(lm, shape.layer, setup.sae, setup.pairs)
    return ActivationStore(key, setup.pairs, hidden, codes, torch.zeros(len(setup.pairs), 2))


def why_not(shape: Shape, device: torch.device, extra_bytes: float = 0.0) -> str:
    """Return the reason why a shape cannot be run here, or an empty string.

    Args:
        shape: which.
        device: where to.
        extra_bytes: what is needed beside the weights.
    """
    if shape.name in REAL and not REAL[shape.name][0].is_dir():
        return f"{shape.name}: {REAL[shape.name][0]} is not there; run `make {shape.name}`"
    need, free = 1.1 * (shape.weight_bytes + extra_bytes), free_bytes(device)
    if need > free:
        return f"{shape.name} needs about {need / 1e9:.1f} GB of {device.type} memory, {free / 1e9:.1f} GB are free"
    return ""


def free_bytes(device: torch.device) -> float:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def _world_pairs(lm: LanguageModel, number: int, seed: int, languages: Sequence[str] = ()) -> list[TokenPair]:
    """Questions of the shipped atlas, in some languages or in all, as both tasks; the answers of two of its countries."""
    rng, prompts = np.random.default_rng(seed), PromptFormat()
    found = []
    for language in [item for name, item in load_atlas().items() if not languages or name in languages]:
        for fact in language.facts:
            texts = sorted(set(fact.answers.values()))
            for question in fact.questions if len(texts) > 1 else []:
                one, two = rng.choice(len(texts), size=2, replace=False)
                for task in ("mcq", "open_ended"):
                    answers = [lm.tokenizer.response(prompts.answer(task, texts, int(i))) for i in (one, two)]
                    found.append(TokenPair(lm.tokenizer.prompt(prompts.prompt(task, question, texts)), *answers))
    return [found[i] for i in rng.permutation(len(found))[:number]]
