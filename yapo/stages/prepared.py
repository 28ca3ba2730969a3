"""A country's preference pairs with their activations, as the stage ``prepare`` left them, and the header of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.errors import YapoError
from yapo.files import digest, file_digest
from yapo.models.sae import SAE
from yapo.stages.study import Study
from yapo.steering.activations import ActivationStore
from yapo.steering.vector import VectorInfo

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


def read_prepared(study: Study, language: str, country: str, task: str) -> PreparedPairs:
    """Read the pairs and open their activations.

    Raises:
        YapoError: a file is missing or damaged, or the two were not made together.
    """
    path, pairs = study.store(language, country, task), study.pairs(language, country, task)
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


def vector_info(
    config: Config, space: str, layer: int, pairs: Sequence[PreparedPairs], sae: SAE, extra: dict[str, Any]
) -> VectorInfo:
    """Return the header of vectors that ``config.method`` learns from some pairs.

    Args:
        space: of the method.
        layer: 0-based block whose output is steered.
        pairs: of one country, or of several that one vector learns from together.
        sae: the autoencoder of the layer.
        extra: where the vector belongs (task, setting, country); the seed is added.
    """
    sparse = space == "sparse"
    return VectorInfo(
        method=config.method.name,
        space=space,
        layer=layer,
        model=pairs[0].model,
        model_digest=pairs[0].store.key.model,
        sae=sae.source if sparse else "",
        sae_digest=sae.digest if sparse else "",
        threshold=str(config.method.options.get("threshold", "relu")),
        steer_bos=config.train.steer_bos,
        data_hash=pairs[0].data_hash if len(pairs) == 1 else digest([part.data_hash for part in pairs]),
        config_hash=digest([asdict(config.method), asdict(config.train), asdict(config.prompts)]),
        extra={**extra, "seed": config.train.seed},
    )
