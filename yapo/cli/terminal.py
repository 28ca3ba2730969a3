"""The terminal of a command: warnings as lines, no bars of other libraries."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import TextIO

from yapo.redaction import RedactingFormatter


def show_warnings() -> None:
    """Show warnings of this package as one line each, and keep those of others and their progress bars away."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0" if sys.stderr.isatty() else "1")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(levelname)s: %(message)s"))
    handler.addFilter(lambda record: record.name.startswith("yapo"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module="yapo")
    warnings.showwarning = _show


def _show(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    sys.stderr.write(f"WARNING: {message}\n")
