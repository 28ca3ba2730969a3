"""Stage ``package`` of curation: the items, and a folder for the Hugging Face hub."""

from __future__ import annotations

from yapo.config import Config
from yapo.curation.funnel import funnel_text
from yapo.curation.items import make_items
from yapo.curation.package import Description, split_items, write_hub_folder
from yapo.curation.report import size_tables
from yapo.data.schema import check_items, write_items
from yapo.files import read_json
from yapo.paths import Paths
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.curation.candidates import read_dropped, read_kept, read_languages

READS = ("curation.title", "curation.licence", "curation.role", "curation.places", "curation.countries", "split")


def main(config: Config) -> None:
    """Write ``items.parquet``, ``hub/``, and the tables of topics and sizes."""
    settings, paths = config.curation, Paths.of(config).curation
    items = check_items(make_items(read_kept(config, "variants")), paths.items)
    splits = split_items(items, config.split, settings.role)
    write_items(paths.items, items, settings.role)
    generator = str(read_json(paths.generation)["generator"])
    funnel = funnel_text(read_kept(config, "variants", ["country", "topic"]), read_dropped(config))
    about = Description(settings.title, settings.licence, settings.role, generator, funnel)
    write_hub_folder(paths.hub, splits, read_languages(config), about)
    write_tables(size_tables(items), paths.tables)


if __name__ == "__main__":
    run(main)
