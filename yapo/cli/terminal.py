"""The start of a command that loads the libraries, and its terminal: warnings as lines, and no bars where nobody watches."""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from yapo.errors import YapoError
from yapo.redaction import RedactingFormatter


@contextmanager
def libraries() -> Iterator[None]:
    """Make the block's imports as fast as they can be, and keep what the libraries say from the terminal.

    Importing torch and transformers makes 400,000 objects that stay. Python would look through them for garbage, again and again
    while they are made: a fifth of the CPU seconds of ``yapo steer``.
    """
    _show_warnings()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
    if "transformers" in sys.modules and not sys.stderr.isatty():
        from transformers.utils import logging as library_logging

        library_logging.disable_progress_bar()


def _show_warnings() -> None:
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
