"""Split facts into train, validation and test so that nothing asked for in one is asked for in another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from yapo.checks import Role
from yapo.config import SPLITS, SplitConfig
from yapo.data.text import text_key
from yapo.errors import YapoError


def facts_of(items: pd.DataFrame) -> dict[str, str]:
    """Return the fact of every ``question_id``: the first id, in order of text, of those that ask the same question.

    Two ids are one fact if a language asks the same question under both (``yapo.data.text``), or if others join them so.
    """
    ids, names = pd.factorize(items["question_id"], sort=True)
    asked = items["language"].map(text_key) + "\n" + items["question"].map(text_key)
    first = pd.Series(ids).groupby(asked.to_numpy()).transform("min").to_numpy()
    links = coo_array((np.ones(len(ids), dtype=np.int8), (ids, first)), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    fact: dict[int, str] = {}
    return {name: fact.setdefault(label, name) for name, label in zip(names, component.tolist(), strict=True)}


def join_facts(items: pd.DataFrame) -> pd.DataFrame:
    """Give items that are one fact one ``question_id``, that of ``facts_of``; phrasings go on where the first id's end."""
    fact = facts_of(items)
    other = items["question_id"].map(fact) != items["question_id"]
    if not other.any():
        return items
    rank_of = pd.Series({name: rank for names in _members(fact).values() for rank, name in enumerate(names)})
    step = int(items["phrasing"].max()) + 1
    phrasing = items["phrasing"] + step * items["question_id"].map(rank_of).to_numpy()
    return items.assign(question_id=items["question_id"].map(fact), phrasing=phrasing)


def _members(fact: dict[str, str]) -> dict[str, list[str]]:
    """Return the ids of every fact, in order of text."""
    members: dict[str, list[str]] = {}
    for name in sorted(fact):
        members.setdefault(fact[name], []).append(name)
    return members


def split_facts(items: pd.DataFrame, config: SplitConfig, role: Role = "train") -> pd.DataFrame:
    """Assign every ``question_id`` to one split; ids that are one fact (``facts_of``) to the same.

    Of a set whose role is test, all facts are in the test split.

    A fact goes with all its wordings, both variants and every country that is asked it. Facts are dealt topic by topic:
    the first of each topic, then the second of each, and so on; the deck is then cut at the configured shares, so each
    split holds as many topics as it can.

    Returns:
        Columns ``question_id`` and ``split``, sorted by ``question_id``.
    """
    if role == "test":
        return pd.DataFrame({"question_id": sorted(set(items["question_id"])), "split": "test"})
    rng = np.random.default_rng(config.seed)
    fact = facts_of(items)
    facts = items[["question_id", "topic"]].drop_duplicates("question_id").sort_values("question_id")
    facts = facts[facts["question_id"].map(fact) == facts["question_id"]]
    shuffled = facts.iloc[rng.permutation(len(facts))]
    rank = shuffled.groupby("topic").cumcount().rename("rank")
    deck = shuffled.assign(rank=rank).sort_values("rank", kind="stable")["question_id"]
    cuts = np.round(np.cumsum([config.train, config.validation]) * len(deck)).astype(int)
    split = np.select([np.arange(len(deck)) < cuts[0], np.arange(len(deck)) < cuts[1]], SPLITS[:2], default=SPLITS[2])
    dealt = dict(zip(deck, split.tolist(), strict=True))
    for name in SPLITS:
        if name not in dealt.values():
            raise YapoError(f"split: {len(deck)} facts leave none for {name}; give more data or other shares")
    return pd.DataFrame({"question_id": list(fact), "split": [dealt[own] for own in fact.values()]})


def leakage_report(items: pd.DataFrame, split: pd.DataFrame) -> dict[str, Any]:
    """Count what two splits share: facts, and the same question text (``yapo.data.text``).

    Returns:
        The counts; facts, items and topics per split; and under ``joined`` the ids that are one fact, by its id.

    Raises:
        YapoError: anything is shared, or an item has no split.
    """
    joined = items.merge(split, on="question_id", how="left")
    if joined["split"].isna().any():
        raise YapoError(f"split: {int(joined['split'].isna().sum())} items have no split; run the split stage again")
    fact = facts_of(items)
    joined = joined.assign(asked=joined["question"].map(text_key), fact=joined["question_id"].map(fact))
    shared = {
        name: int((joined.groupby(["language", column])["split"].nunique() > 1).sum())
        for name, column in (("question_id", "fact"), ("question", "asked"))
    }
    report: dict[str, Any] = {
        "shared_facts": shared["question_id"],
        "shared_questions": shared["question"],
        "facts": {str(k): int(v) for k, v in joined.groupby("split")["fact"].nunique().items()},
        "items": {str(k): int(v) for k, v in joined["split"].value_counts().sort_index().items()},
        "topics": {str(k): int(v) for k, v in joined.groupby("split")["topic"].nunique().items()},
        "joined": {name: names for name, names in _members(fact).items() if len(names) > 1},
    }
    if any(shared.values()):
        raise YapoError(f"split: train, validation and test overlap ({shared}); a fact or question stands on two sides")
    return report
