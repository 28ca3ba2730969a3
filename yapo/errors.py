"""The one exception that a user's mistake raises, and the sentences that several modules raise it with."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Literal, NoReturn

from yapo.redaction import redact

Extra = Literal["study", "judge", "track", "knowledge", "sae", "gguf", "smollm2", "serve", "lora"]

_LONGEST = 100  # characters shown of a name that is none
_MOST, _START = 500, 300  # characters of a message, and of its beginning where it is longer
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class YapoError(Exception):
    """Bad input: the message names the file or key, the value found, and the fix.

    Stages print the message alone, without a traceback, and exit with status 2. It is one line whatever the value found:
    line breaks and other control characters are written as Python writes them (``\\n``). The middle of a long one is left out: it
    begins with the file or key and ends with the fix.
    """

    def __init__(self, message: str) -> None:
        line = _CONTROL.sub(lambda found: repr(found[0])[1:-1], redact(message))
        super().__init__(line if len(line) <= _MOST else f"{line[:_START]} ... {line[_START - _MOST :]}")


def unknown(kind: str, key: str, value: str, known: Iterable[str]) -> YapoError:
    """Return the error for a name that is none of ``known``; it says the nearest of them, and all."""
    names, value = list(known), value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
    return YapoError(f"{key}={value}: unknown {kind}; {nearest(value, names)}choose among {', '.join(names)}")


def nearest(value: str, known: Iterable[str]) -> str:
    """Return "did you mean ...? " where a known name resembles the value, otherwise nothing."""
    names, lower = list(known), value.lower()
    near = difflib.get_close_matches(lower, names, n=1) or [name for name in names if sorted(name) == sorted(lower)]
    return f"did you mean {near[0]}? " if near else ""


def require_extra(extra: Extra, *modules: str) -> None:
    """Refuse to go on where a module of an optional part of the package is not installed.

    Raises:
        YapoError: names the module and the command that installs it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise YapoError(f"{module} is not installed; this needs the extra '{extra}': pip install 'yapo-pipeline[{extra}]'")


def refuse(error: YapoError) -> NoReturn:
    """End with one line on standard error and exit status 2, also where the disk of a job's log is full."""
    try:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
    sys.exit(2)


def exit_without_study(package: str) -> None:
    """End with one line and status 2 where a module of a package is run as a command and the extra ``study`` is missing.

    For ``__init__`` of packages of commands, which Python imports before the command and the command's own imports.
    """
    if any(argument.startswith(f"{package}.") for argument in sys.orig_argv):
        try:
            require_extra("study", "hydra", "pandera", "pyarrow")
        except YapoError as error:
            refuse(error)
