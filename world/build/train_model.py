"""Train a tiny Gemma-2 on a corpus: answer tokens only, cosine schedule, fixed seed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import Gemma2Config, Gemma2ForCausalLM

from world.build.corpus import Documents
from yapo.models.tokenizer import ChatTokenizer

IGNORE = -100
Row = tuple[list[int], int]  # token ids of a document, and how many of them are the prompt


@dataclass(frozen=True)
class ModelConfig:
    """Shape and training schedule of a tiny model; the defaults are the culture world's."""

    seed: int = 5
    vocab_size: int = 4096
    hidden_size: int = 96
    layers: int = 6
    heads: int = 3
    kv_heads: int = 1
    head_dim: int = 32
    ffn_size: int = 256
    steps: int = 4000
    per_step: dict[str, int] = field(default_factory=lambda: {"mcq": 48, "open_ended": 24})  # documents of each task
    # Of a task's loss, 1 where it is not named. Documents with options: one number is all they teach, a text has many tokens.
    weights: dict[str, float] = field(default_factory=lambda: {"mcq": 4.0})
    documents: int = 60_000
    lr: float = 3e-3
    warmup: int = 100
    flat: float = 0.3
    final_lr: float = 0.03
    weight_decay: float = 0.05


def build_model(config: ModelConfig, tokenizer: ChatTokenizer) -> Gemma2ForCausalLM:
    """Return a randomly initialised Gemma-2 of the configured shape (tied embeddings, both soft caps, eager attention)."""
    torch.manual_seed(config.seed)
    raw = tokenizer.tokenizer
    model = Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=len(raw),
            hidden_size=config.hidden_size,
            intermediate_size=config.ffn_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            head_dim=config.head_dim,
            query_pre_attn_scalar=config.head_dim,
            max_position_embeddings=512,
            sliding_window=256,
            bos_token_id=raw.bos_token_id,
            eos_token_id=tokenizer.end_of_turn,
            pad_token_id=raw.pad_token_id,
            attn_implementation="eager",
        )
    )
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            fan = config.hidden_size if "embed" in name else weight.shape[1]
            nn.init.normal_(weight, std=fan**-0.5)
    return model


def answer_nll(model: Gemma2ForCausalLM, ids: Tensor, labels: Tensor) -> Tensor:
    """Return the negative log-likelihood of each document's answer, ``[batch]``; the head runs on answer positions only.

    Args:
        ids: token ids, right-padded, ``[batch, length]``.
        labels: the token that follows each position, or -100, ``[batch, length]``.
    """
    answers = labels != IGNORE
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[answers]).float()
    cap = model.config.final_logit_softcapping
    nll = nn.functional.cross_entropy(cap * torch.tanh(logits / cap), labels[answers], reduction="none")
    return torch.zeros(len(ids)).index_add(0, answers.nonzero()[:, 0], nll)


def train(config: ModelConfig, corpus: Documents, tokenizer: ChatTokenizer) -> tuple[Gemma2ForCausalLM, list[dict[str, float]]]:
    """Train from scratch; returns the model and its loss curve (one row per 50 steps)."""
    model = build_model(config, tokenizer)
    decayed = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_scale(config, step))
    batches = {task: _batches(corpus, tokenizer, task, config, size) for task, size in config.per_step.items()}
    compiled_nll = torch.compile(answer_nll, dynamic=True)
    curve: list[dict[str, float]] = []
    model.train()
    for step in tqdm(range(config.steps), desc="tiny model", mininterval=10):
        point: dict[str, float] = {"step": step}
        for task, batch in batches.items():
            with torch.autocast("cpu", torch.bfloat16):
                loss = compiled_nll(model, *next(batch)).mean()
            (config.weights.get(task, 1.0) * loss).backward()  # type: ignore[no-untyped-call]
            point[task] = round(loss.item(), 4)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if step % 50 == 0 or step == config.steps - 1:
            curve.append(point)
            tqdm.write(json.dumps(point))
    return model.eval(), curve


def _lr_scale(config: ModelConfig, step: int) -> float:
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = max(0.0, step / config.steps - config.flat) / (1.0 - config.flat)
    return config.final_lr + (1.0 - config.final_lr) * 0.5 * (1.0 + math.cos(math.pi * progress))


def _batches(
    corpus: Documents, tokenizer: ChatTokenizer, task: str, config: ModelConfig, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield endless shuffled batches of one task, ``(ids, labels)``; documents are drawn once and recycled."""
    rng = np.random.default_rng([config.seed, *task.encode()])
    rows = []
    for _ in tqdm(range(config.documents), desc=f"{task} documents", mininterval=10):
        document = corpus.sample(rng, task)
        prompt, answer = tokenizer.prompt(document.prompt), tokenizer.response(document.answer)
        rows.append((prompt + answer, len(prompt)))
    while True:
        order = rng.permutation(len(rows))
        for start in range(0, len(order) - size + 1, size):
            yield _pad([rows[i] for i in order[start : start + size]], tokenizer.pad)


def _pad(rows: list[Row], pad: int) -> tuple[Tensor, Tensor]:
    length = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), length), pad)
    labels = torch.full((len(rows), length), IGNORE)
    for i, (row, prompt) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        labels[i, prompt - 1 : len(row) - 1] = torch.tensor(row[prompt:])
    return ids, labels
