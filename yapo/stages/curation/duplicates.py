"""Stage ``duplicates`` of curation: near-duplicate options and questions, and the file of pairs for review."""

from __future__ import annotations

from pathlib import Path

from yapo.config import Config
from yapo.curation.duplicates import decide, drop_near_duplicates, near_pairs
from yapo.curation.embeddings import get_embedder
from yapo.curation.review import read_review, review_text
from yapo.files import write_text
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.curation.candidates import read_kept, write_outcome

READS = ("curation.duplicates", "curation.min_options", "curation.seed")


def main(config: Config) -> None:
    """Write the candidates that are left, and ``near_duplicates.csv``."""
    settings, candidates = config.curation.duplicates, read_kept(config, "choices")
    pairs = near_pairs(candidates, get_embedder(settings), settings.review_from)
    reviewed = read_review(Path(settings.review), pairs) if settings.review else {}
    decisions = decide(pairs, settings.threshold, reviewed)
    write_text(Paths.of(config).curation.pairs, review_text(decisions))
    outcome = drop_near_duplicates(candidates, decisions, config.curation.min_options, config.curation.seed)
    write_outcome(config, "duplicates", outcome)


if __name__ == "__main__":
    run(main)
