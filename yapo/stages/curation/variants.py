"""Stage ``variants`` of curation: both forms of every question."""

from __future__ import annotations

from yapo.config import Config
from yapo.curation.variants import make_variants
from yapo.stages.app import run
from yapo.stages.curation.candidates import read_kept, read_languages, write_outcome

READS = ("curation.places", "curation.countries", "curation.min_options", "curation.seed")


def main(config: Config) -> None:
    """Write the candidates that are left, with both forms."""
    settings = config.curation
    outcome = make_variants(read_kept(config, "duplicates"), read_languages(config), settings.min_options, settings.seed)
    write_outcome(config, "variants", outcome)


if __name__ == "__main__":
    run(main)
