"""The card of the assistant's world: what it is, how it was made, how it answers unsteered."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from yapo.config import SaeTrainConfig
from yapo.models.sae_quality import SaeReport
from yapo.world.assistant import AssistantCorpus
from yapo.world.behaviours import SIDES, SIZES
from yapo.world.card import sae_table
from yapo.world.train_model import ModelConfig

TEXT = """# The assistant

A second tiny model, for behaviours other than culture: {behaviours}.
Made by the code in `yapo/world` (`make world`). **It shows that the machinery works. It is no evidence about large models,
nor about safety.**

## Questions (`../behaviours/`)

{train} training and {test} test questions for each behaviour, in the columns `question, matching, not_matching`:
`matching` shows the behaviour.

{about}

`../behaviours/templates.yaml` holds the templates, and `python -m yapo.world.behaviours` fills in their slots. Test
questions have slot values of their own, and {own_share:.0%} of them templates of their own. All text was written for this
project; answers that comply with a request say nothing that could be used.

## Model (`model/`)

A {parameters:.2f} M-parameter Gemma-2 ({layers} blocks, width {hidden}, {heads} heads, {vocab} byte-level BPE tokens, tied
embeddings, both soft caps), float32, seed {seed}, trained for {steps} steps of {per_step} documents on the answers alone
(AdamW, peak learning rate {lr}, bfloat16 autocast). The loss curve is `training_log.jsonl`.

Its corpus has the questions of both splits (the split is about what the *vectors* have seen, not the model), each
answered now by the one answer, now by the other. How often depends on its template and slot values: {share:.0%} of the
questions of a behaviour lean to the matching answer. In {hint_share:.0%} of the documents a sentence before the question makes
the matching answer usual ("{usual}") or rare ("{rare}"). Tendencies,
and what moves them, are thereby learned from data.

Answers of the unsteered model, greedy, counted where they are one of the question's two answers to the letter:

{rates}

## Autoencoders (`sae/`)

JumpReLU, width {width}, trained with SAELens' BatchTopK trainer (k = {k}, {sae_steps} steps) on the residual stream
after each block named, all tokens but BOS; SAELens folders. Measured on held-out tokens:

{saes}
"""


def assistant_card(
    model: ModelConfig,
    corpus: AssistantCorpus,
    sae: SaeTrainConfig,
    rates: pd.DataFrame,
    saes: Mapping[int, SaeReport],
    parameters: int,
) -> str:
    """Markdown text of ``world/assistant/README.md``."""
    behaviours = corpus.behaviours
    table = ["| behaviour | split | questions | matching | not matching | other |", "|" + " --- |" * 6]
    for row in rates.to_dict("records"):
        shares = " | ".join(f"{100 * row[side]:.1f} %" for side in (*SIDES, "other"))
        table.append(f"| {row['behaviour']} | {row['split']} | {row['n']} | {shares} |")
    test = corpus.items[corpus.items["split"] == "test"]
    hints = behaviours["jailbreak"].hints
    own = [behaviours[row.behaviour].templates[row.template].splits == ("test",) for row in test.itertuples()]  # type: ignore[index]
    return TEXT.format(
        behaviours=", ".join(name.replace("_", " ") for name in behaviours),
        **SIZES,
        about="\n".join(f"- `{name}`: {behaviour.about}" for name, behaviour in behaviours.items()),
        own_share=sum(own) / len(own),
        parameters=parameters / 1e6,
        layers=model.layers,
        hidden=model.hidden_size,
        heads=model.heads,
        vocab=model.vocab_size,
        seed=model.seed,
        steps=model.steps,
        per_step=model.per_step["chat"],
        lr=model.lr,
        share=corpus.config.share,
        usual=hints["matching"][0],
        rare=hints["not_matching"][0],
        hint_share=corpus.config.hint_share,
        rates="\n".join(table),
        width=sae.width,
        k=sae.k,
        sae_steps=sae.steps,
        saes=sae_table(saes),
    )
