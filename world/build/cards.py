"""The cards of the two worlds: what each is, how it was made, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from world.build.assistant import AssistantCorpus
from world.build.behaviours import SIZES
from world.build.corpus import CorpusConfig
from world.build.train_model import ModelConfig
from yapo.config import SaeTrainConfig
from yapo.models.sae_quality import SaeReport

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=False,
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def culture_card(
    model: ModelConfig,
    corpus: CorpusConfig,
    sae: SaeTrainConfig,
    accuracy: pd.DataFrame,
    saes: Mapping[int, SaeReport],
    parameters: int,
) -> str:
    """Return the Markdown text of ``world/README.md``."""
    table = accuracy.pivot_table(index="country", columns=["task", "variant"], values="accuracy", sort=False)
    table.loc["mean of countries"] = table.mean()
    return _render("culture", model=model, corpus=corpus, sae=sae, accuracy=table, saes=saes, parameters=parameters)


def assistant_card(
    model: ModelConfig,
    corpus: AssistantCorpus,
    sae: SaeTrainConfig,
    rates: pd.DataFrame,
    saes: Mapping[int, SaeReport],
    parameters: int,
) -> str:
    """Return the Markdown text of ``world/assistant/README.md``."""
    test = corpus.items[corpus.items["split"] == "test"]
    templates = [
        corpus.behaviours[name].templates[number] for name, number in zip(test["behaviour"], test["template"], strict=True)
    ]
    return _render(
        "assistant",
        model=model,
        behaviours=corpus.behaviours,
        sizes=SIZES,
        own_share=sum(template.splits == ("test",) for template in templates) / len(templates),
        corpus=corpus.config,
        hints=corpus.behaviours["jailbreak"].hints,
        sae=sae,
        rates=rates.to_dict("records"),
        saes=saes,
        parameters=parameters,
    )


def _render(name: str, **values: Any) -> str:
    return _TEMPLATES.get_template(f"{name}.md.j2").render(**values)
