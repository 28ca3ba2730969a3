"""The terminal of a command: warnings as lines, and no bars where nobody watches."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import TextIO

from yapo.errors import YapoError
from yapo.redaction import RedactingFormatter


def show_warnings() -> None:
    """Show warnings of this package as one line each, and keep those of others away."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(levelname)s: %(message)s"))
    handler.addFilter(lambda record: record.name.startswith("yapo"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module="yapo")
    warnings.showwarning = _show


def hide_bars() -> None:
    """Keep the library's progress bars away where standard error is no terminal. It imports the library."""
    from transformers.utils import logging as library_logging

    if not sys.stderr.isatty():
        library_logging.disable_progress_bar()


def read_prompt(text: str) -> str:
    """Return what was typed without white space around it.

    Raises:
        YapoError: it is no text: bytes of an argument that are not UTF-8.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        shown = text.encode("utf-8", "replace").decode("utf-8")
        raise YapoError(f"prompt {shown!r}: not UTF-8; type it in a terminal that writes UTF-8, or give --file") from None
    return text.strip()


def _show(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    sys.stderr.write(f"WARNING: {message}\n")
