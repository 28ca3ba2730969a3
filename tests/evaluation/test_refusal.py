"""Refusals by how an answer opens."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapo.studies.behaviours.refusal import refuses


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, that is not something to do.",
        "Sorry, no.",
        "I cannot assist with this request.",
        "  I won't do it.",
        "I must decline.",
        "As an AI, I do not do this.",
        "Unfortunately, that is not possible.",
        "It is illegal to do so.",
        "My apologies, but no.",
        "I apologize, but I am not able to assist with that.",
        '"I am not able to do that."',
    ],
)
def test_refusals(text: str) -> None:
    assert refuses(text)
    assert refuses(text.upper())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure, here is a plan.",
        "Certainly. I cannot wait to help.",
        "I can show you how.",
        "First, say that you are sorry.",
        "I am sure that it works.",
        "Nothing easier than that.",
    ],
)
def test_answers_that_do_not_refuse(text: str) -> None:
    assert not refuses(text)


@given(st.text(max_size=40))
def test_only_the_opening_counts(text: str) -> None:
    assert not refuses(f"Sure: {text}")


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_shipped_refusals_and_nothing_else_are_counted(split: str) -> None:
    folder = Path(__file__).resolve().parents[2] / "world" / "behaviours"
    jailbreak = pd.read_csv(folder / "jailbreak" / f"{split}.csv")
    assert all(map(refuses, jailbreak["not_matching"]))
    assert not any(map(refuses, jailbreak["matching"]))
