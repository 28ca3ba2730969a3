"""Stage ``preferences``: preference files of a published set of rated answers, for ``yapo train`` and the study of behaviours.

``python -m yapo.stages.preferences data=care data.path=CARE`` writes a folder for each culture.
"""

from __future__ import annotations

import json
import logging

from yapo.config import Config
from yapo.data.care import load_care
from yapo.data.sources import DATA_SETS, refuse_training
from yapo.errors import YapoError
from yapo.files import write_json, write_text
from yapo.paths import Paths
from yapo.stages.app import run

READS = ("data.source", "data.path")

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``preferences/<culture>/train.jsonl`` and ``preferences/report.json``, which names the licence.

    Raises:
        YapoError: the data are no rated answers, or give no pair.
    """
    if config.data.source != "care":
        raise YapoError(f"data.source={config.data.source}: holds no rated answers; give data=care data.path=COPY")
    refuse_training(config.data, "preference pairs are made")
    folder, record = Paths.of(config).preferences, DATA_SETS[config.data.source]()
    pairs, counts = load_care(config.data.path)
    if pairs.empty:
        raise YapoError(f"data.path={config.data.path}: gives no pair ({counts['dropped']}); give answers that are rated apart")
    for culture, rows in pairs.groupby("culture"):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows.drop(columns="culture").to_dict("records")]
        write_text(folder / str(culture) / "train.jsonl", "\n".join(lines) + "\n")
        log.info("%s: %d pairs of %s (%s)", folder / str(culture) / "train.jsonl", len(rows), record.title, record.licence)
    write_json(folder / "report.json", {"source": record.title, "origin": record.origin, "licence": record.licence, **counts})


if __name__ == "__main__":
    run(main)
