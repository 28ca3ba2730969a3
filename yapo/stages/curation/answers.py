"""Stage ``answers`` of curation: ask a generator the seed questions."""

from __future__ import annotations

import json
from pathlib import Path

from yapo.config import Config
from yapo.curation.answers import collect_answers
from yapo.curation.generators import get_generator
from yapo.curation.seeds import load_seeds, load_topics
from yapo.files import write_json, write_text
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.curation.candidates import read_languages, write_outcome

READS = ("curation.seeds", "curation.places", "curation.topics", "curation.countries", "curation.recording", "judge")


def main(config: Config) -> None:
    """Write the candidates, ``replies.jsonl`` and ``generation.json``."""
    settings, paths = config.curation, Paths.of(config).curation
    languages = read_languages(config)
    questions = load_seeds(Path(settings.seeds), load_topics(Path(settings.topics)), languages, settings.countries)
    generator = get_generator(settings.recording, config.judge, settings.countries)
    collected = collect_answers(questions, languages, generator)
    write_text(paths.replies, "".join(json.dumps(reply, ensure_ascii=False) + "\n" for reply in collected.replies))
    write_json(paths.generation, {"generator": generator.label, "questions": len(questions), "asked": generator.report()})
    write_outcome(config, "answers", collected.outcome)


if __name__ == "__main__":
    run(main)
