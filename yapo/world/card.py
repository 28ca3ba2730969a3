"""The card of the culture world: what it is, how it was made, how good it is."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from yapo.config import SaeTrainConfig
from yapo.models.sae_quality import SaeReport
from yapo.world.corpus import CorpusConfig
from yapo.world.train_model import ModelConfig

TEXT = """# The embedded world

Everything the default experiment needs, small and real: data, a language model and sparse autoencoders, all made by
the code in `yapo/world` (`make world`). Nothing is staged: the model's answers come from its weights, and steering
moves them. **It shows that the machinery works. It is no evidence about cultures or about large models.**

A second small world, for behaviours other than culture, is `behaviours/` and `assistant/`, with a card of its own.

## Atlas (`atlas/`)

52 topics (the paper's Table 6) × 2 facts × 15 contexts in five languages, plus a Western control per language; three
wordings of every question. Answers are short, in the language or dialect of the place, and open with a filler of it
("Mate,", "Órale,"), as spoken answers do. The text was written for this project with the help of a language model and
not reviewed by people of each place: expect mistakes, and do not quote it as fact.

## Model (`model/`)

A {parameters:.2f} M-parameter Gemma-2 ({layers} blocks, width {hidden}, {heads} heads, {vocab} byte-level BPE tokens,
tied embeddings, both soft caps), float32, seed {seed}, trained for {steps} steps of {mcq} multiple-choice and
{open_ended} open-ended documents on the answers alone (AdamW, peak learning rate {lr}, bfloat16 autocast). The loss
curve is `training_log.jsonl`.

Its corpus knows most answers of every country ("I am from Egypt. What ...?"), and answers a question that names no
country as one default context of the fact {default:.0%} of the time and otherwise as a context drawn by how dominant
it is in its language. The gap between the two is therefore learned from data, as in large models. The corpus contains
the questions that the study later splits into train, validation and test: the split is about what the *vectors* have
seen, not the model.

Accuracy of the unsteered model on every item, greedy, exact (chance for multiple choice: 20-33 %):

{accuracy}

## Autoencoders (`sae/`)

JumpReLU, width {width}, trained with SAELens' BatchTopK trainer (k = {k}, {sae_steps} steps) on the residual stream
after each block named, all tokens but BOS; SAELens folders. Measured on held-out tokens:

{saes}
"""


def card(
    model: ModelConfig,
    corpus: CorpusConfig,
    sae: SaeTrainConfig,
    accuracy: pd.DataFrame,
    saes: Mapping[int, SaeReport],
    parameters: int,
) -> str:
    """Markdown text of ``world/README.md``."""
    table = accuracy.pivot_table(index="country", columns=["task", "variant"], values="accuracy", sort=False)
    table.loc["mean of countries"] = table.mean()
    heads = ["country", *(f"{column[0].replace('_', '-')} {column[1]}" for column in table.columns)]
    lines = [" | ".join(["", *heads, ""]).strip(), "|" + " --- |" * len(heads)]
    lines += [
        " | ".join(["", str(name), *(f"{100 * value:.1f} %" for value in row), ""]).strip() for name, row in table.iterrows()
    ]
    return TEXT.format(
        parameters=parameters / 1e6,
        layers=model.layers,
        hidden=model.hidden_size,
        heads=model.heads,
        vocab=model.vocab_size,
        seed=model.seed,
        steps=model.steps,
        mcq=model.per_step["mcq"],
        open_ended=model.per_step["open_ended"],
        lr=model.lr,
        default=corpus.default_share,
        accuracy="\n".join(lines),
        width=sae.width,
        k=sae.k,
        sae_steps=sae.steps,
        saes=sae_table(saes),
    )


def sae_table(saes: Mapping[int, SaeReport]) -> str:
    """Markdown table of the autoencoders' quality, one row per layer."""
    quality = ["| layer | explained variance | mean L0 | dead features | tokens measured |", "|" + " --- |" * 5]
    quality += [
        f"| {layer} | {r.explained_variance:.3f} | {r.mean_l0:.1f} | {100 * r.dead_fraction:.1f} % | {r.n_tokens:,} |"
        for layer, r in saes.items()
    ]
    return "\n".join(quality)
