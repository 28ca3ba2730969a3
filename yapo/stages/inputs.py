"""Inputs of several stages: a country's items with their split, the prompt format, the layer, autoencoders."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from yapo.config import Config
from yapo.dag.scope import check_country
from yapo.data.prompts import PromptFormat
from yapo.data.schema import by_place, read_table
from yapo.errors import YapoError
from yapo.files import read_json
from yapo.models.sae import SAE, check_fits, load_sae
from yapo.models.sae_release import find, listed
from yapo.names import folder_of
from yapo.paths import Paths


def read_items(config: Config, country: str) -> pd.DataFrame:
    """Items of one country or region with a column ``split``; ``country`` is the place (``yapo.data.schema.by_place``)."""
    paths = Paths.of(config)
    items = by_place(read_table(paths.items))
    check_country(country, list(dict.fromkeys(items["country"])))
    return items[items["country"] == country].merge(read_table(paths.split), on="question_id").reset_index(drop=True)


def language_folder_of(items: pd.DataFrame) -> str:
    """Return the folder name of the items' language."""
    return folder_of(str(items["language"].iloc[0]), "language")


def read_layer(config: Config) -> int:
    """The layer to steer: the configured one, or the one that discovery found."""
    if config.discovery.layer is not None:
        return config.discovery.layer
    path = Paths.of(config).layer
    found = read_json(path)
    layer = found.get("layer") if isinstance(found, dict) else None
    if not isinstance(layer, int) or isinstance(layer, bool):
        raise YapoError(f"{path}: names no layer; delete it and run the stage layer again")
    candidates = config.discovery.candidates
    if layer not in candidates:
        raise YapoError(
            f"{path}: layer {layer} is none of discovery.candidates={candidates}; delete it and run the stage layer again"
        )
    return layer


def read_sae(config: Config, layer: int, d_model: int) -> SAE:
    """The autoencoder of a layer, checked against the model's width."""
    find_it = _released if config.sae.release else _trained if config.sae.trained else _given
    sae = load_sae(find_it(config, layer))
    check_fits(sae, d_model, layer)
    return sae


def _given(config: Config, layer: int) -> Path:
    path = Path(config.sae.path.replace("LAYER", str(layer)))
    if not path.exists():
        raise YapoError(
            f"sae.path={path}: no autoencoder for layer {layer}; choose discovery.layer, discovery.candidates and the layers of "
            "methods and studies among those that have one"
        )
    return path


def _trained(config: Config, layer: int) -> Path:
    path = Paths.of(config).sae(layer)
    if not path.exists():
        raise YapoError(f"{path}: no autoencoder yet; run `python -m yapo.stages.train_sae` with the same settings first")
    return path


def _released(config: Config, layer: int) -> Path:
    """Return the autoencoder of a release that the stage download fetched."""
    entry = listed(config.sae, layer)
    path = find(entry)
    if path is None:
        raise YapoError(f"sae.id={entry.id}: not fetched yet; run `python -m yapo.stages.download` with the same settings first")
    return path


def prompt_format(config: Config) -> PromptFormat:
    """The templates."""
    return PromptFormat(config.prompts.mcq, config.prompts.option, config.prompts.open_ended, config.prompts.boxed)
