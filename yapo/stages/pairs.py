"""A country's preference pairs with their activations on disk, and the inputs of methods that learn from them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from yapo.checks import Task
from yapo.config import Config, MethodConfig, PromptConfig, TrainConfig
from yapo.data.schema import read_table
from yapo.errors import YapoError
from yapo.files import digest, file_digest, write_json, write_parquet
from yapo.models.sae import SAE
from yapo.models.sae_quality import check_quality, reconstruction_quality
from yapo.paths import Paths
from yapo.stages.inputs import read_sae
from yapo.steering.activations import ActivationStore
from yapo.steering.method import ComparedPairs, FitInputs, Models
from yapo.steering.methods import get_method
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.vector import VectorInfo

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

COLUMNS = ("question_id", "variant", "phrasing", "split")


@dataclass(frozen=True)
class PreparedPairs:
    """The pairs of one country and task.

    Attributes:
        store: their activations.
        rows: describes pair i in row i.
        model: name or path of the model that they were made with.
        data_hash: digest of the items and the split that they come from.
    """

    store: ActivationStore
    rows: pd.DataFrame
    model: str
    data_hash: str

    @classmethod
    def joined(cls, parts: Mapping[str, PreparedPairs]) -> PreparedPairs:
        """Return the pairs of several countries, by name, end to end; the same fact in two countries counts as two."""
        rows = [part.rows.assign(question_id=name + "/" + part.rows["question_id"]) for name, part in parts.items()]
        hashes = [part.data_hash for part in parts.values()]
        store = ActivationStore.joined([part.store for part in parts.values()])
        (first, *_), data_hash = parts.values(), hashes[0] if len(hashes) == 1 else digest(hashes)
        return cls(store, pd.concat(rows, ignore_index=True), first.model, data_hash)


def read_prepared(paths: Paths, language_folder: str, country: str, task: Task) -> PreparedPairs:
    """Read the pairs and open their activations.

    Raises:
        YapoError: a file is missing or damaged, or the two were not made together.
    """
    path, pairs = paths.store(language_folder, country, task), paths.pairs(language_folder, country, task)
    store, header = ActivationStore.load(path)
    for key in ("model", "data_hash", "pairs_hash"):
        if not isinstance(header.get(key), str):
            raise YapoError(f"{path}: its header has no {key}; delete it and run the stage prepare again")
    rows = read_table(pairs)
    missing = [column for column in COLUMNS if column not in rows]
    if missing:
        raise YapoError(f"{pairs}: lacks the columns {', '.join(missing)}; run the stage prepare again")
    if header["pairs_hash"] != file_digest(pairs) or len(rows) != len(store.pairs):
        raise YapoError(f"{pairs}: not the pairs whose activations were kept; run the stage prepare again")
    return PreparedPairs(store, rows, header["model"], header["data_hash"])


def write_prepared(
    config: Config,
    language_folder: str,
    task: Task,
    store: ActivationStore,
    rows: pd.DataFrame,
    lm: LanguageModel,
    sae: SAE,
    data_hash: str,
    report: Mapping[str, Any],
) -> None:
    """Write the pairs of ``config.country``, their activations and a report; delete what an interrupted preparation kept.

    Args:
        config: the configuration of the stage.
        language_folder: the folder of the country's language.
        task: the task of the pairs.
        store: the activations of the pairs that ``rows`` describes.
        lm, sae: the model they were made with, and the autoencoder of its layer.
        data_hash: digest of the data that the pairs come from.
        report: further entries of the report.

    Raises:
        YapoError: the autoencoder does not explain the activations.
    """
    paths = Paths.of(config)
    path, pairs = paths.store(language_folder, config.country, task), paths.pairs(language_folder, config.country, task)
    explained, l0 = reconstruction_quality(sae, (states[1:] for states in store.hidden))
    check_quality(sae, explained, config.sae.min_explained_variance)
    write_parquet(pairs, rows)
    header = {"model": lm.source, "data_hash": data_hash, "pairs_hash": file_digest(pairs)}
    store.save(path, header)
    sizes = {"store": asdict(store.key), "bytes": store.size, "autoencoder": {"explained_variance": explained, "l0": l0}}
    write_json(pairs.with_suffix(".json"), {**header, **report, **sizes})
    shutil.rmtree(parts_of(path))


def parts_of(path: Path) -> Path:
    """Return the folder where the preparation of a store keeps what it has, so that it can go on after an interruption."""
    return path.with_suffix(".parts")


def models_of(config: Config, lm: LanguageModel | None = None) -> Models:
    """Return loaders of the model and its autoencoders, each loaded once; ``lm`` is the whole model if it is loaded already."""

    @cache
    def language_model(first: int) -> LanguageModel:
        from yapo.models.language_model import load_language_model

        return load_language_model(config.model, first=first) if lm is None else lm

    @cache
    def autoencoder(layer: int) -> SAE:
        whole = language_model(0)
        return read_sae(config, layer, whole.d_model).to(whole.device)

    return Models(language_model, autoencoder, config.sae.min_explained_variance)


def fit_inputs(
    pairs: PreparedPairs,
    sets: list[TrainSet],
    layer: int,
    sae: SAE,
    models: Models,
    method: MethodConfig,
    train: TrainConfig,
    prompts: PromptConfig,
    log: Callable[[LogRow], None],
    checkpoint: Path,
    extra: Mapping[str, Any],
    others: Mapping[str, PreparedPairs] | None = None,
) -> FitInputs:
    """Return what a method learns from.

    Args:
        pairs: of one country and task, or of several countries together.
        sets: which pairs train and validate each vector.
        layer: 0-based block whose output is steered.
        sae: the autoencoder of that layer.
        models: see ``models_of``.
        method, train: the method and its schedule.
        prompts: the templates of the pairs.
        log: receives the rows of the training curves.
        checkpoint: where a long training keeps its progress.
        extra: where the vectors belong (task, country), for their header; setting and seed are added.
        others: pairs of the study's other countries and the same task, by name, for a method that compares countries.
    """
    space = get_method(method.name).space
    info = VectorInfo(
        method=method.name,
        space=space.name,
        layer=layer,
        model=pairs.model,
        model_digest=pairs.store.key.model,
        steer_bos=train.steer_bos,
        data_hash=pairs.data_hash,
        config_hash=digest([asdict(method), asdict(train), asdict(prompts)]),
        extra={**extra, "seed": train.seed},
        **space.header(sae),
    )
    return FitInputs(
        store=pairs.store,
        rows=pairs.rows,
        sets=sets,
        layer=layer,
        sae=sae,
        models=models,
        train=train,
        options=method.options,
        info=info,
        log=log,
        checkpoint=checkpoint,
        others={name: ComparedPairs(other.store, other.rows) for name, other in (others or {}).items()},
    )
