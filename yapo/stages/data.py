"""Stage ``data``: read the items, check them, split the facts, and prove that nothing leaks."""

from __future__ import annotations

from yapo.config import Config
from yapo.data.deep_culture_lense import RefusedData
from yapo.data.forms import UnreviewedForms
from yapo.data.schema import write_items
from yapo.data.sources import load_items_and_report, role_of
from yapo.data.split import join_facts, leakage_report, split_facts
from yapo.errors import YapoError
from yapo.files import write_json, write_parquet, write_text
from yapo.paths import Paths
from yapo.stages.app import run

READS = ("data", "split")


def main(config: Config) -> None:
    """Write ``data/items.parquet``, ``data/split.parquet`` and ``data/leakage.json``.

    Questions that are the same under two ids stand under the first of them; ``leakage.json`` names both. A source that drops
    rows also leaves ``data/report.json``, even where it is refused: no output of the rule, since Snakemake deletes the outputs
    of a job that fails. All facts of a set for evaluation only are in the test split. Where questions wait for a reader, the
    proposals are written to ``data/forms.csv`` and the stage ends.
    """
    paths, role = Paths.of(config), role_of(config.data)
    try:
        items, source_report = load_items_and_report(config.data)
    except RefusedData as refused:
        write_json(paths.data_report, refused.report)
        raise YapoError(f"{refused} (report: {paths.data_report})") from None
    except UnreviewedForms as waiting:
        write_text(paths.forms, waiting.text)
        raise YapoError(f"{waiting}; write keep or drop into each row of a copy of {paths.forms}, and name it") from None
    if source_report is None:
        paths.data_report.unlink(missing_ok=True)
    else:
        write_json(paths.data_report, source_report)
    split = split_facts(items, config.split, role)
    report = leakage_report(items, split)
    write_items(paths.items, join_facts(items), role)
    write_parquet(paths.split, split)
    write_json(paths.leakage, report)


if __name__ == "__main__":
    run(main)
