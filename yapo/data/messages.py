"""Preference pairs in chat messages, as TRL's data sets have them, as three texts.

Two forms are read: ``prompt``, ``chosen`` and ``rejected`` with one message each, and ``chosen`` and ``rejected`` that both begin
with the same user's message. Conversations of more turns stay as they are, and are no texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROLES = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}


def as_texts(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose messages are texts, where that is possible; other records as they are."""
    made = dict(cells)
    if "prompt" not in made:
        chosen, rejected = (_messages(made.get(name)) for name in ("chosen", "rejected"))
        if chosen and rejected and len(chosen) == len(rejected) == 2 and chosen[0] == rejected[0]:
            made |= {"prompt": [chosen[0]], "chosen": [chosen[1]], "rejected": [rejected[1]]}
    for name, role in ROLES.items():
        messages = _messages(made.get(name))
        if messages and len(messages) == 1 and messages[0]["role"] == role:
            made[name] = messages[0]["content"]
    return made


def _messages(cell: Any) -> list[dict[str, str]] | None:
    """Return a cell that is a list of messages."""
    is_list = isinstance(cell, list) and all(isinstance(one, dict) and {"role", "content"} <= one.keys() for one in cell)
    return cell if is_list else None
