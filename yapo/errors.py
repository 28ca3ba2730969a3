"""The one exception that a user's mistake raises."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from yapo.redaction import redact

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class YapoError(Exception):
    """Bad input: the message names the file or key, the value found, and the fix.

    Stages print the message alone, without a traceback, and exit with status 2. It is one line whatever the value found:
    line breaks and other control characters are written as Python writes them (``\\n``).
    """

    def __init__(self, message: str) -> None:
        super().__init__(_CONTROL.sub(lambda found: repr(found[0])[1:-1], redact(message)))


def unknown(kind: str, key: str, value: str, known: Iterable[str]) -> YapoError:
    """The error for a name that is none of ``known``: says the nearest of them, and all."""
    names = list(known)
    return YapoError(f"{key}={value}: unknown {kind}; {nearest(value, names)}choose among {', '.join(names)}")


def nearest(value: str, known: Iterable[str]) -> str:
    """\"did you mean ...? \" where a known name resembles the value, otherwise nothing."""
    names, lower = list(known), value.lower()
    near = difflib.get_close_matches(lower, names, n=1) or [name for name in names if sorted(name) == sorted(lower)]
    return f"did you mean {near[0]}? " if near else ""
