"""Multiple-choice answers: the number in the last ``\\boxed{k}`` of a completion."""

from __future__ import annotations

import re

BOXED = re.compile(r"\\boxed\{\s*(\d+)\s*\}")


def parse_choice(completion: str, n_options: int) -> int | None:
    """0-based option, or None where there is no ``\\boxed{k}`` or k is not the number of an option."""
    found = BOXED.findall(completion)
    if not found or len(found[-1]) > 9:  # a model that loops on a digit
        return None
    choice = int(found[-1]) - 1
    return choice if 0 <= choice < n_options else None
