"""Stage ``choices`` of curation: multiple choice with options that exclude each other."""

from __future__ import annotations

from yapo.config import Config
from yapo.curation.choices import make_choices
from yapo.stages.app import run
from yapo.stages.curation.candidates import read_kept, write_outcome

READS = ("curation.min_options", "curation.seed")


def main(config: Config) -> None:
    """Write the candidates that are left, with their options."""
    outcome = make_choices(read_kept(config, "existence"), config.curation.min_options, config.curation.seed)
    write_outcome(config, "choices", outcome)


if __name__ == "__main__":
    run(main)
