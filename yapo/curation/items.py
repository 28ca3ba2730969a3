"""Candidates that passed every step as items of the schema: each once localized and once not."""

from __future__ import annotations

import pandas as pd

from yapo.checks import VARIANTS
from yapo.data.schema import ITEMS
from yapo.errors import YapoError


def make_items(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return the items, not yet checked; options stand in the same order in both forms.

    Args:
        candidates: of the step ``variants``.

    Raises:
        YapoError: no candidate is left.
    """
    if candidates.empty:
        raise YapoError("curation: no question is left after the last step; curation/funnel.html says what was dropped and why")
    forms = [candidates.assign(variant=variant, question=candidates[variant], phrasing=0) for variant in VARIANTS]
    items = pd.concat(forms).sort_index(kind="stable")  # both forms of a candidate beside each other
    return items[[name for name in ITEMS.columns if name in items]].reset_index(drop=True)
