"""Split facts into train, validation and test so that nothing asked for in one is asked for in another."""

from __future__ import annotations

import numpy as np
import pandas as pd

from yapo.config import SPLITS, SplitConfig
from yapo.errors import YapoError


def split_facts(items: pd.DataFrame, config: SplitConfig) -> pd.DataFrame:
    """Assign every ``question_id`` to one split.

    A fact goes with all its wordings, both variants and every country that is asked it. Facts are dealt topic by topic:
    the first of each topic, then the second of each, and so on; the deck is then cut at the configured shares, so each
    split holds as many topics as it can.

    Returns:
        Columns ``question_id`` and ``split``, sorted by ``question_id``.
    """
    rng = np.random.default_rng(config.seed)
    facts = items[["question_id", "topic"]].drop_duplicates("question_id").sort_values("question_id")
    shuffled = facts.iloc[rng.permutation(len(facts))]
    rank = shuffled.groupby("topic").cumcount().rename("rank")
    deck = shuffled.assign(rank=rank).sort_values("rank", kind="stable")["question_id"]
    cuts = np.round(np.cumsum([config.train, config.validation]) * len(deck)).astype(int)
    split = np.select([np.arange(len(deck)) < cuts[0], np.arange(len(deck)) < cuts[1]], SPLITS[:2], default=SPLITS[2])
    assigned = pd.DataFrame({"question_id": deck.to_numpy(), "split": split})
    for name in SPLITS:
        if not (assigned["split"] == name).any():
            raise YapoError(f"split: {len(deck)} facts leave none for {name}; give more data or other shares")
    return assigned.sort_values("question_id", ignore_index=True)


def leakage_report(items: pd.DataFrame, split: pd.DataFrame) -> dict[str, object]:
    """Count what two splits share: facts, and the very same question text.

    Raises:
        YapoError: anything is shared, or an item has no split.
    """
    joined = items.merge(split, on="question_id", how="left")
    if joined["split"].isna().any():
        raise YapoError(f"split: {int(joined['split'].isna().sum())} items have no split; run the split stage again")
    shared = {
        column: int((joined.groupby(["language", column])["split"].nunique() > 1).sum()) for column in ("question_id", "question")
    }
    report: dict[str, object] = {
        "shared_facts": shared["question_id"],
        "shared_questions": shared["question"],
        "facts": {str(k): int(v) for k, v in split["split"].value_counts().sort_index().items()},
        "items": {str(k): int(v) for k, v in joined["split"].value_counts().sort_index().items()},
        "topics": {str(k): int(v) for k, v in joined.groupby("split")["topic"].nunique().items()},
    }
    if any(shared.values()):
        raise YapoError(f"split: train, validation and test overlap ({shared}); a fact or question stands on two sides")
    return report
