"""Stage ``data``: read the items, check them, split the facts, and prove that nothing leaks."""

from __future__ import annotations

from yapo.config import Config
from yapo.data.schema import write_items
from yapo.data.sources import load_items
from yapo.data.split import leakage_report, split_facts
from yapo.files import write_json, write_parquet
from yapo.stages.app import run
from yapo.stages.study import Study


def main(config: Config) -> None:
    """Writes ``data/items.parquet``, ``data/split.parquet`` and ``data/leakage.json``."""
    study = Study.of(config)
    items = load_items(config.data)
    split = split_facts(items, config.split)
    report = leakage_report(items, split)
    write_items(study.items, items)
    write_parquet(study.split, split)
    write_json(study.leakage, report)


if __name__ == "__main__":
    run(main)
