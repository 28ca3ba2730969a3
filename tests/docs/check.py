"""Run every block of every page to its end, in a copy of the project: ``make docs-check``.

Some pages only: ``python -m tests.docs.check docs/library.md``. With ``--folder FOLDER`` the copy is kept there, results
included, and used again by the next call. Prints one line a block. The exit status is 1 where a block failed, or printed
something else than its page shows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import project
from .pages import Block, blocks, pages


def run(folder: Path, block: Block) -> tuple[int, str, str]:
    """Run a block in a shell or in Python. Returns its exit status, its output, and its errors."""
    command = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, block.text], cwd=folder, env=project.environment(folder), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def make_study(folder: Path) -> None:
    """Make the small study, which every page takes for granted."""
    print("making the study that the pages speak of", flush=True)
    subprocess.run(["snakemake", "--quiet", "all", "--", "all_tables"], cwd=folder, env=project.environment(folder), check=True)


def check(folder: Path, page: str) -> int:
    """Run a page, and return how many of its blocks failed."""
    failed, printed = 0, ""
    content = blocks(folder, page)
    with project.pristine(folder, content):
        for block in content:
            start, wrong = time.monotonic(), ""
            if block.kind in ("file", "edit"):
                project.write(folder, block)
            elif block.kind == "prints":
                wrong = project.differs(block, printed)
            elif block.kind == "run":
                status, printed, errors = run(folder, block)
                wrong = f"exit status {status}\n{printed[-2000:]}{errors[-4000:]}" if status else ""
            failed += bool(wrong)
            word, seconds = "FAILED" if wrong else "ok", time.monotonic() - start
            print(f"{word:7}{seconds:7.1f} s  {block.place}  {block.kind}  {block.value}", flush=True)
            print(wrong, end="")
    return failed


def main() -> int:
    """Check the pages named, or all. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Run the commands and snippets of the pages on a small study.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="pages, as docs/library.md; all if none is named")
    parser.add_argument("--folder", type=Path, help="where the copy of the project is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yapo-docs-") as scratch:
        folder = project.copy(arguments.folder or Path(scratch) / "project")
        make_study(folder)
        failed = sum(check(folder, page) for page in arguments.pages or pages(folder))
    print(f"{failed} blocks failed" if failed else "every block runs")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
