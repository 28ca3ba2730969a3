"""A finished study of a few facts on the embedded model, with vectors made up: what the studies around the tables start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from yapo.config.compose import compose
from yapo.config.conf_files import ROOT
from yapo.data.sources import known_countries
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages import data
from yapo.stages.inputs import read_sae
from yapo.steering.vector import SteeringVector, VectorInfo

LAYER = 2
METHODS = {"caa": "dense", "yapo": "sparse"}
OVERRIDES = [
    f"model.path={ROOT / 'world' / 'model'}",
    f"sae.path={ROOT / 'world' / 'sae' / 'layer_LAYER'}",
    f"discovery.layer={LAYER}",
    f"methods=[{','.join(METHODS)}]",
]


def make(
    results: Path, countries: tuple[str, ...], facts: dict[str, int], settings: tuple[str, ...], more: tuple[str, ...] = ()
) -> list[str]:
    """Write items, split and chosen vectors of some countries; returns the overrides of every stage of the study.

    Args:
        results: folder of results.
        countries: that have vectors.
        facts: how many facts of each split are kept, with two phrasings each.
        settings: of the vectors.
        more: further overrides.
    """
    overrides = [f"results={results}", *OVERRIDES, f"countries=[{','.join(countries)}]", *more]
    config = compose(overrides)
    data.main(config)
    paths = Paths.of(config)
    split = pd.read_parquet(paths.split)
    kept = split.groupby("split").head(max(facts.values()))
    kept = kept[kept.groupby("split").cumcount() < kept["split"].map(facts)]
    items = pd.read_parquet(paths.items)
    items = items[items["question_id"].isin(kept["question_id"]) & (items["phrasing"] < 2)]
    items.to_parquet(paths.items, index=False)
    known = known_countries(config.data)
    lm = load_language_model(config.model)
    sae = read_sae(config, LAYER, lm.d_model)
    generator = torch.Generator().manual_seed(0)
    info = VectorInfo("caa", "dense", LAYER, lm.source, lm.digest, multiplier=0.5, extra={"epoch": 1})
    for country in countries:
        for method, space in METHODS.items():
            for task in config.tasks:
                for setting in settings:
                    width = lm.d_model if space == "dense" else sae.d_sae
                    values = torch.randn(width, generator=generator) * (1.0 if space == "dense" else 0.2)
                    sparse = {} if space == "dense" else {"sae": sae.source, "sae_digest": sae.digest}
                    vector = SteeringVector(values, replace(info, method=method, space=space, **sparse))
                    vector.save(paths.vector(known[country], country, method, task, setting))
    return overrides
