"""Third step: multiple choice. The options of a question are its countries' answers and the Western control."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from yapo.config.curation import Step
from yapo.curation.steps import CANDIDATE, FACT, Drop, Outcome, follow, part
from yapo.data.text import text_key


def make_choices(candidates: pd.DataFrame, min_options: int, seed: int) -> Outcome:
    """Drop candidates whose answer another country gives too, and give the others their options.

    Neither of two equal answers is kept: of these countries none has an answer of its own.
    """
    given = candidates.assign(key=candidates["answer"].map(text_key))
    again = given.duplicated([*FACT, "key"], keep=False)
    drops = [Drop("equal_options", answer) if twice else None for answer, twice in zip(given["answer"], again, strict=True)]
    first = part("choices", candidates, drops)
    return follow(first, with_options("choices", first.kept, min_options, seed))


def with_options(step: Step, candidates: pd.DataFrame, min_options: int, seed: int) -> Outcome:
    """Give candidates ``options`` (all answers that are left to the question, and the control), in an order of their own.

    Also ``answer_index`` and ``control_index``. Candidates of questions with fewer than ``min_options`` are dropped.

    Args:
        step: on behalf of which candidates are dropped.
        candidates: with distinct answers to a question, none of them the control.
        min_options: least number of options.
        seed: of the order, which depends on nothing else than it and the candidate.
    """
    offered: dict[tuple[str, str], list[str]] = {}
    for language, name, answer, control in candidates[[*FACT, "answer", "control"]].itertuples(index=False, name=None):
        offered.setdefault((language, name), [control]).append(answer)
    rows = candidates[[*CANDIDATE, "answer"]].itertuples(index=False, name=None)
    ordered = [_shuffled(offered[language, name], f"{language}/{name}/{country}", seed) for language, name, country, _ in rows]
    indices = [options.index(answer) for options, answer in zip(ordered, candidates["answer"], strict=True)]
    controls = [options.index(control) for options, control in zip(ordered, candidates["control"], strict=True)]
    complete = candidates.assign(
        options=pd.Series(ordered, index=candidates.index, dtype=object), answer_index=indices, control_index=controls
    )
    drops = [Drop("too_few_options", "; ".join(options)) if len(options) < min_options else None for options in ordered]
    return part(step, complete, drops)


def drop_and_offer_again(
    step: Step, candidates: pd.DataFrame, faults: Sequence[Drop | None], min_options: int, seed: int
) -> Outcome:
    """Drop candidates, and make the options of the others anew: what dropped ones answered is offered no more.

    Args:
        step, min_options, seed: see ``with_options``.
        candidates: as ``with_options`` takes them.
        faults: why each is dropped, None where it is kept.
    """
    first = part(step, candidates, faults)
    return follow(first, with_options(step, first.kept, min_options, seed))


def _shuffled(options: Sequence[str], name: str, seed: int) -> list[str]:
    order = np.random.default_rng([seed, *name.encode()]).permutation(len(options))
    return [options[place] for place in order]
