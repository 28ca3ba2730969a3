"""Subsets of the training facts."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.errors import YapoError
from yapo.steering.training.train_sets import TrainSet, fewer_facts, train_sets

ROWS = pd.DataFrame(
    {
        "question_id": [f"f{i // 3:02d}" for i in range(60)],
        "variant": ["localized", "nonlocalized"] * 30,
        "split": ["train"] * 48 + ["validation"] * 12,
    }
)
WHOLE = TrainSet("both", list(range(48)), list(range(48, 60)))


def facts(part: TrainSet) -> set[str]:
    return set(ROWS.loc[part.train, "question_id"])


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.integers(0, 99))
def test_whole_facts_and_nested_shares(a: float, b: float, seed: int) -> None:
    small, large = (fewer_facts(WHOLE, ROWS, share, seed) for share in sorted((a, b)))
    assert facts(small) <= facts(large) <= facts(WHOLE)
    assert len(facts(large)) == max(1, round(16 * max(a, b)))
    assert large.train == [i for i in WHOLE.train if ROWS.loc[i, "question_id"] in facts(large)]
    assert (large.validation, large.name) == (WHOLE.validation, WHOLE.name)


def test_all_facts_are_the_same_set() -> None:
    assert fewer_facts(WHOLE, ROWS, 1.0, 0) is WHOLE


def test_the_set_s_own_seed_draws() -> None:
    drawn = {frozenset(facts(fewer_facts(WHOLE, ROWS, 0.25, seed))) for seed in range(5)}
    assert len(drawn) > 1
    own = replace(WHOLE, seed=3)
    assert fewer_facts(own, ROWS, 0.25, 0) == replace(fewer_facts(WHOLE, ROWS, 0.25, 3), seed=3)


def test_sets_by_variant_and_split() -> None:
    sets = {part.name: part for part in train_sets(ROWS, ["localized", "nonlocalized", "both"])}
    assert sets["both"] == WHOLE
    assert sets["localized"].train == list(range(0, 48, 2))
    assert sets["nonlocalized"].validation == list(range(49, 60, 2))
    with pytest.raises(YapoError, match="setting=both: 48 training and 0 validation pairs"):
        train_sets(ROWS[ROWS["split"] == "train"], ["both"])
