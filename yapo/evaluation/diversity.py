"""Diversity of several answers to one question: distinct-n, self-chrF, and answers that say nothing new.

Distinct-n is that of Li et al. (2016, arXiv 1510.03055), over the words of ``yapo.evaluation.words``. Self-chrF is self-BLEU (Zhu
et al. 2018, arXiv 1802.01886) with chrF (Popović 2015) in the place of BLEU, which needs words that spaces part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import permutations

from yapo.data.text import is_blank, text_key
from yapo.evaluation.judges.offline import overlap
from yapo.evaluation.words import words


def distinct(texts: Sequence[str], n: int) -> float:
    """Return the number of distinct n-grams of words by the number of all, over all texts together, 0 to 1.

    Args:
        texts: answers to one question.
        n: words of an n-gram; none spans two texts.

    Returns:
        NaN where no text has ``n`` words.
    """
    grams = [gram for text in texts for gram in _grams(words(text), n)]
    return len(set(grams)) / len(grams) if grams else math.nan


def self_chrf(texts: Sequence[str]) -> float:
    """Return the mean chrF of each text against each of the others, 0 to 100; NaN of fewer than two texts.

    High values say that answers are alike. Two texts that are the same by ``yapo.data.text`` have 100.
    """
    pairs = [_overlap(one, other) for one, other in permutations(texts, 2)]
    return math.fsum(pairs) / len(pairs) if pairs else math.nan


def repetitions(texts: Sequence[str]) -> list[bool]:
    """Return for each text whether it is the same as an earlier one (``yapo.data.text``), as ``[text]``; empty texts are not."""
    keys = [text_key(text) for text in texts]
    return [not is_blank(text) and keys[i] in keys[:i] for i, text in enumerate(texts)]


def _grams(tokens: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


@lru_cache(maxsize=200_000)
def _overlap(one: str, other: str) -> float:
    return overlap(one, other)
