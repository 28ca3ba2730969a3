"""Stage ``existence`` of curation: keep candidates whose country has an answer of its own."""

from __future__ import annotations

from yapo.config import Config
from yapo.curation.existence import filter_existence
from yapo.stages.app import run
from yapo.stages.curation.candidates import read_kept, read_languages, write_outcome

READS = ("curation.places", "curation.countries", "curation.max_repeats")


def main(config: Config) -> None:
    """Write the candidates that are left."""
    outcome = filter_existence(read_kept(config, "answers"), read_languages(config), config.curation.max_repeats)
    write_outcome(config, "existence", outcome)


if __name__ == "__main__":
    run(main)
