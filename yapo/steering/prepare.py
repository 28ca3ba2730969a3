"""On-policy preference pairs of a country's items, and their activation store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from yapo.checks import Task
from yapo.config import GenerationConfig, ModelConfig
from yapo.data.pairs import build_pairs
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.pair_batch import TokenPair


@dataclass(frozen=True)
class TrainingPairs:
    """Pairs of one country and task: their activations, what each one is, and what became of the items."""

    store: ActivationStore
    rows: pd.DataFrame
    counts: dict[str, int]


def prepare(
    lm: LanguageModel,
    layer: int,
    items: pd.DataFrame,
    completions: list[str],
    correct: list[bool],
    task: Task,
    prompts: PromptFormat,
    limits: ModelConfig,
    generation: GenerationConfig,
    seed: int,
    sae: SAE,
    parts: Path | None = None,
    max_bytes: float = float("inf"),
) -> TrainingPairs:
    """Build preference pairs and run the frozen model over them once.

    Pairs whose prompt is longer than ``limits.max_prompt_tokens`` are left out and counted, never cut.

    Args:
        items: training and validation items of one country, with a column ``split``.
        completions: the model's own greedy answers to them.
        correct: whether each is right.
        sae: the autoencoder of the layer.
        parts: folder that lets an interrupted preparation go on; see ``build_store``.
        max_bytes: largest store allowed.
    """
    rows, counts = build_pairs(items, completions, correct, task, prompts, seed)
    split = items.set_index(["question_id", "variant", "phrasing"])["split"]
    rows["split"] = split.loc[list(zip(rows["question_id"], rows["variant"], rows["phrasing"], strict=True))].to_numpy()
    # A rejected answer is what the model wrote, and so no longer than it may write.
    rows, pairs, counts["dropped_long"] = token_pairs(lm, rows, limits.max_prompt_tokens, generation.max_new_tokens(task))
    if not pairs:
        raise YapoError(f"{task}: no preference pair is left ({counts}); raise model.max_prompt_tokens or give more data")
    store = build_store(lm, layer, sae.to(lm.device), pairs, limits.batch_size, parts, max_bytes)
    return TrainingPairs(store, rows, counts)


def token_pairs(
    lm: LanguageModel, rows: pd.DataFrame, max_prompt_tokens: int, max_rejected_tokens: int | None = None
) -> tuple[pd.DataFrame, list[TokenPair], int]:
    """Return rows with columns prompt, chosen and rejected, as tokens.

    Returns:
        The rows whose prompt is not longer than ``max_prompt_tokens``, their pairs, and how many rows were left out.
    """
    pairs = [
        TokenPair(
            lm.tokenizer.prompt(prompt),
            lm.tokenizer.response(chosen),
            lm.tokenizer.response(rejected)[:max_rejected_tokens],
        )
        for prompt, chosen, rejected in zip(rows["prompt"], rows["chosen"], rows["rejected"], strict=True)
    ]
    fits = [len(pair.prompt) <= max_prompt_tokens for pair in pairs]
    return rows[fits].reset_index(drop=True), [pair for pair, fit in zip(pairs, fits, strict=True) if fit], fits.count(False)
