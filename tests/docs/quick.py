"""Run what is quick of the pages, in a copy of the project: ``python -m tests.docs.quick REPORT``.

One process runs everything, so that the libraries are imported once. It trains a vector first, by hand.
"""

from __future__ import annotations

import io
import json
import runpy
import shutil
import sys
import time
import traceback
from contextlib import redirect_stdout
from pathlib import Path

from yapo.config.compose import compose

from . import project
from .commands import check, words_of
from .pages import Block, blocks, code_spans, pages

HERE = Path.cwd()
DONE: set[str] = set()
RESULTS, KEPT = HERE / "results", HERE.with_name("kept")


def module(words: list[str]) -> None:
    """Run ``python -m`` in this process, the same job once only. Raises an error where its exit status is not 0."""
    if words[0].startswith("yapo.stages.") and not any(word.startswith("--") for word in words):
        job = f"{words[0]} {compose(words[1:])}"
        if job in DONE:
            return
        DONE.add(job)
    before = sys.argv
    sys.argv = words
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise RuntimeError(f"{' '.join(words)}: exit status {end.code}") from None
    finally:
        sys.argv = before


def make_study() -> None:
    """Make what the pages use: one YaPO vector of Egypt's, chosen on validation, and what comes before it."""
    for stage in ("data", "layer", "prepare", "train", "evaluate"):
        module([f"yapo.stages.{stage}"])


def run(block: Block) -> str | None:
    """Run what is quick of a block. Returns what it printed, or None where some of it did not run."""
    out, whole = io.StringIO(), block.value != "slow"
    with redirect_stdout(out):
        if whole and block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})
        for command in block.commands:
            check(command)
            words = words_of(command)
            if whole and words[0] == "cat":
                out.write(Path(words[1]).read_text(encoding="utf-8"))
            elif block.value != "slow" and words[:2] == ["python", "-m"]:
                module(words[2:])
            elif whole and words[0] == "yapo":
                module(words)
            else:
                whole = False
    return out.getvalue() if whole else None


def restore() -> None:
    """Bring the study back as it was made."""
    shutil.rmtree(RESULTS)
    shutil.copytree(KEPT, RESULTS)


def failures(page: str) -> list[str]:
    """Return what is wrong with a page, one entry a block."""
    found: list[str] = []
    printed: str | None = None
    try:
        content = blocks(HERE, page)
    except ValueError as error:
        return [str(error)]
    with project.pristine(HERE, content):
        for block in content:
            spent = time.process_time()
            try:
                if block.kind in ("file", "edit"):
                    project.write(HERE, block)
                elif block.kind == "run":
                    printed = run(block)
                elif block.kind == "prints":
                    wrong = project.differs(block, printed) if printed is not None else ""
                    found += [f"{block.place}: {wrong}"] if wrong else []
                else:
                    for command in block.commands:
                        check(command)
            except Exception:
                found.append(f"{block.place}: {traceback.format_exc(limit=-2)}")
            sys.stderr.write(f"{time.process_time() - spent:5.1f} s of CPU  {block.place}  {block.kind}\n")
        for span in code_spans(HERE, page):
            try:
                check(span)
            except Exception as error:
                found.append(f"{page}: `{span}`: {error}")
    return found


def main(report: Path) -> None:
    """Run all pages, and write what failed in each."""
    make_study()
    shutil.copytree(RESULTS, KEPT)
    found = {}
    for page in pages(HERE):
        found[page] = failures(page)
        restore()
    report.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
