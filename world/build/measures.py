"""Measures of the tiny models: residual stream, accuracy on the atlas, rates of behaviours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from world.build.behaviours import SIDES
from world.build.corpus import Documents
from yapo.checks import TASKS, Task
from yapo.config import DataConfig, GenerationConfig
from yapo.config.data import Source
from yapo.data.prompts import PromptFormat
from yapo.data.schema import by_place
from yapo.data.sources import load_items
from yapo.evaluation.decoding import Condition, Decoder
from yapo.evaluation.exact import exact
from yapo.models.language_model import LanguageModel

LAYERS = (1, 2, 3)


@torch.inference_mode()
def residuals(lm: LanguageModel, corpus: Documents, documents: int, seed: int) -> dict[int, Tensor]:
    """Return the output of the blocks in ``LAYERS`` at every token but BOS of corpus documents, ``[tokens, d_model]`` each."""
    rng = np.random.default_rng(seed)
    parts: dict[int, list[Tensor]] = {layer: [] for layer in LAYERS}
    for start in range(0, documents, 64):
        drawn = [corpus.sample(rng, corpus.tasks[i % len(corpus.tasks)]) for i in range(min(64, documents - start))]
        rows = [lm.tokenizer.prompt(d.prompt) + lm.tokenizer.response(d.answer) for d in drawn]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [lm.tokenizer.pad] * (longest - len(row)) for row in rows], device=lm.device)
        real = torch.tensor([[0 < t < len(row) for t in range(longest)] for row in rows])
        states = lm.model.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
        for layer in LAYERS:
            parts[layer].append(states[layer + 1].cpu()[real])
    return {layer: torch.cat(tensors) for layer, tensors in parts.items()}


def accuracy(
    lm: LanguageModel, phrasings: tuple[int, ...] = (0, 1, 2), source: Source = "atlas", tasks: Sequence[Task] = TASKS
) -> pd.DataFrame:
    """Return the share of the items of these wordings that the unsteered model answers exactly, by place, task, variant."""
    items, prompts, generation, rows = by_place(load_items(DataConfig(source))), PromptFormat(), GenerationConfig(), []
    items = items[items["phrasing"].isin(phrasings)]
    for (country, variant), part in items.groupby(["country", "variant"], sort=False):
        for task in tasks:
            ids = [lm.tokenizer.prompt(text) for text in prompts.prompts(task, part)]
            written = Decoder(lm, 256).complete(0, ids, [Condition()], generation.max_new_tokens(task))[0]
            right = exact(part, [lm.tokenizer.decode(tokens) for tokens in written], task)
            rows.append({"country": country, "variant": variant, "task": task, "n": len(part), "accuracy": np.mean(right)})
    return pd.DataFrame(rows)


def behaviour_rates(lm: LanguageModel, items: pd.DataFrame) -> pd.DataFrame:
    """Return the share of the questions that the unsteered model answers, greedily and to the letter, by either answer.

    Args:
        lm: the model.
        items: ``behaviour``, ``split``, ``question``, ``matching``, ``not_matching``.

    Returns:
        ``behaviour``, ``split``, ``n``, ``matching``, ``not_matching``, ``other`` (the last three sum to 1).
    """
    written = Decoder(lm, 256).complete(0, [lm.tokenizer.prompt(text) for text in items["question"]], [Condition()], 64)[0]
    answers = np.array([lm.tokenizer.decode(tokens) for tokens in written], dtype=object)
    marked = items[["behaviour", "split"]].assign(**{side: answers == items[side].to_numpy(dtype=object) for side in SIDES})
    marked["other"] = ~(marked["matching"] | marked["not_matching"])
    groups = marked.groupby(["behaviour", "split"], sort=False)
    return groups.mean().assign(n=groups.size()).reset_index()
