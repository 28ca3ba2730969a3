"""Multiple-choice answers: the number in the last ``\\boxed{k}`` of a completion."""

from __future__ import annotations

from yapo.data.boxed import boxes


def parse_choice(completion: str, n_options: int) -> int | None:
    """Return the 0-based option of the last boxed number, or None where there is none or it is not the number of an option."""
    numbers = [box.number for box in boxes(completion)]
    return numbers[-1] - 1 if numbers and 1 <= numbers[-1] <= n_options else None
