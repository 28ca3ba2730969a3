"""Keep keys and passwords out of what is written, logged and shown.

A secret is known in three ways: it was read for use (``remember``), it stands in an environment variable whose name says so,
or it has a form that only credentials have, such as the user and password of a URL.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Iterator
from urllib.parse import quote

MASK = "***"

_SHORTEST_READ, _SHORTEST_NAMED = 6, 8  # shorter values ("EMPTY", "none") are placeholders, and words of ordinary texts
_NAMES = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
_FIELD = r"(?:api[_-]?key|secret|password|passwd|access[_-]token|auth[_-]token|hf[_-]token)"
# Quotes and backslashes end a secret: JSON with one in it stays JSON.
_FORMS = (
    (re.compile(r"(?<=[a-z0-9+.-])(://)[^/\s'\"<>\\]*@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(r"([?&](?:api[_-]?key|key|token|access_token|sig|signature)=)[^&\s'\"\\]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"({_FIELD}=)(?!\.\.\.)[^\s;,&}}'\"\\]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"(['\"][\w.-]*{_FIELD}['\"]\s*:\s*['\"])[^'\"\\]+", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(r"(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic|token)\s+)?)[^\s'\",}\\]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"(\bBearer\s+)[\w.~+/=-]{12,}"), rf"\1{MASK}"),
    (re.compile(r"\b(?:sk|pk|rk|xox[abp])-[\w-]{16,}|\b(?:hf|gsk|ghp|xai)_\w{16,}|\bAIza[\w-]{30,}|\bAKIA[0-9A-Z]{16}\b"), MASK),
)
_read: set[str] = set()


def remember(secret: str) -> None:
    """Treat ``secret`` as one from now on, wherever it was read from."""
    if len(secret) >= _SHORTEST_READ:
        _read.add(secret)


def redact(text: str) -> str:
    """Return ``text`` with every secret replaced by ``***``."""
    secrets = _secrets()
    if secrets:
        text = re.sub("|".join(map(re.escape, secrets)), MASK, text, flags=re.IGNORECASE)
    for form, masked in _FORMS:
        text = form.sub(masked, text)
    return text


def holds_secret(text: str) -> bool:
    """Tell whether ``redact`` would change ``text``."""
    return redact(text) != text


class RedactingFormatter(logging.Formatter):
    """Formats log records without secrets, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter.format``."""
        return redact(super().format(record))


def _secrets() -> list[str]:
    """Return every known secret in each form in which it may be repeated, longest first."""
    named = (value.strip() for name, value in os.environ.items() if _NAMES.search(name))
    known = _read | {value for value in named if len(value) >= _SHORTEST_NAMED and not value.startswith("/")}
    return sorted({form for secret in known for form in _spellings(secret)}, key=len, reverse=True)


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as it is, as JSON and URLs may write it, and in base64."""
    yield from (secret, secret.replace("/", "\\/"), secret.replace("\\", "\\\\").replace('"', '\\"'), quote(secret, safe=""))
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
