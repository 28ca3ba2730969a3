"""Time and memory of curation at growing numbers of seed questions, every stage as the process that the DAG starts.

python -m benchmarks.curation [--quick]

Questions and answers are drawn from the words of the atlas; the generator is a recording of them, so what is measured is the
pipeline alone. An item is one form of a question about one country.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import measure
from yapo.config.conf_files import ROOT
from yapo.curation.seeds import SLOT
from yapo.data.atlas import WESTERN, Language, load_atlas
from yapo.data.schema import read_table

STAGES = ("answers", "existence", "choices", "duplicates", "variants", "package", "report")
_SPENT = re.compile(r"took ([\d.]+) s of CPU, at most (\d+) MB")


def write_session(folder: Path, questions: int) -> None:
    """Write ``seeds.csv`` and ``session.jsonl`` with so many questions in each language of the atlas."""
    rng = np.random.default_rng(0)
    with (
        (folder / "seeds.csv").open("w", encoding="utf-8", newline="") as seeds,
        (folder / "session.jsonl").open("w", encoding="utf-8") as session,
    ):
        table = csv.writer(seeds, lineterminator="\n")
        table.writerow(["id", "language", "topic", "text"])
        for language in load_atlas().values():
            words = sorted({word for fact in language.facts for text in fact.questions for word in text.split()})
            topics = [fact.topic for fact in language.facts]
            for number in range(questions):
                text = f"{SLOT} {' '.join(rng.choice(words, 9))} {number}?"
                table.writerow([f"q{number}", language.name, topics[number % len(topics)], text])
                reply = {name: _answer(language, name, rng) for name in (*language.contexts, WESTERN)}
                session.write(json.dumps({"language": language.name, "text": text, "reply": json.dumps(reply)}) + "\n")


def _answer(language: Language, name: str, rng: np.random.Generator) -> str:
    """Return words from two answers of a country to different questions."""
    first, second = rng.choice(len(language.facts), 2, replace=False)
    return f"{language.facts[first].answers[name]} {language.facts[second].answers[name]}"


def run(report: measure.Report, questions: int) -> None:
    """Run all stages with so many questions in each language."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_session(folder, questions)
        settings = [f"results={folder}", f"curation.seeds={folder}/seeds.csv", f"curation.recording={folder}/session.jsonl"]
        environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}  # as the Snakefile sets it
        rows: list[dict[str, measure.Cell]] = []
        for stage in STAGES:
            start = time.perf_counter()
            command = shlex.join([sys.executable, "-m", f"yapo.stages.curation.{stage}", *settings])
            # A shell between: a process counts the memory of the one that it is forked from.
            shell = ["sh", "-c", f"{command}; exit $?"]
            done = subprocess.run(shell, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
            spent = _SPENT.search(done.stderr)
            assert spent is not None
            seconds = round(time.perf_counter() - start, 1)
            rows.append({"stage": stage, "seconds": seconds, "CPU seconds": float(spent[1]), "memory MB": int(spent[2])})
        items = len(read_table(next(folder.glob("*/curation/items.parquet"))))
    for row in rows:
        report.add("stages", {"questions": 5 * questions, "items": items, **row})
    total, cpu = (round(sum(float(row[name]) for row in rows), 1) for name in ("seconds", "CPU seconds"))
    most = max(int(row["memory MB"]) for row in rows)
    report.add("whole", {"questions": 5 * questions, "items": items, "seconds": total, "CPU seconds": cpu, "memory MB": most})


def main() -> None:
    """Run the command line."""
    options = measure.options(__doc__ or "", ["cpu"], ["cpu"])
    report = measure.Report("curation", {"languages": 5, "countries": 15, "embedding": "ngrams"})
    for questions in (20, 80) if options.quick else (34, 340, 2000):
        run(report, questions)
    report.finish(options)


if __name__ == "__main__":
    main()
