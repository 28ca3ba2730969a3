"""Controls that change the prompt and steer nothing.

``few_shot_1`` and ``few_shot_3``: questions and preferred answers of the country as earlier turns of the conversation. They are
drawn from training facts, so that none is of a test question's fact, and have the form of the question: without the country's
name where that has none. The same examples stand before all questions of a form; the first of three is the one of one.
``system_mild`` and ``system_strong``: a system prompt that names the country. A chat template without a place for it, as Gemma's,
gets it at the head of the user's first turn.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from yapo.checks import VARIANTS, PromptControl, Setting, Task, Variant
from yapo.config.controls import ControlsConfig
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition
from yapo.evaluation.preamble import Preamble
from yapo.evaluation.scoring import Answerer

EXAMPLES: dict[PromptControl, int] = {"few_shot_1": 1, "few_shot_3": 3}


def ask_behind_preambles(
    answerer: Answerer, items: pd.DataFrame, controls: ControlsConfig, task_settings: Iterable[tuple[Task, Setting]]
) -> list[pd.DataFrame]:
    """Ask the test questions under every control but ``prompt``, which puts the question itself in other words.

    Args:
        answerer: of the country's items.
        items: one country's items with a column ``split``.
        controls: which, and their texts.
        task_settings: what is asked.

    Returns:
        For each control, task and setting the items with ``completion, score, parsed, exact`` and
        ``method, task, setting, multiplier, epoch``.
    """
    frames = []
    for control in (name for name in controls.rows if name != "prompt"):
        for task, setting in task_settings:
            parts = []
            for variant in VARIANTS:
                if setting in (variant, "both"):
                    form = answerer.generation.form(task)
                    before = preamble(control, controls, items, form, variant, answerer.prompts)
                    asked = items[(items["split"] == "test") & (items["variant"] == variant)]
                    parts += answerer.behind(before).ask(asked, task, [Condition()])
            named = {"method": control, "task": task, "setting": setting, "multiplier": 0.0, "epoch": 0}
            frames.append(pd.concat(parts, ignore_index=True).assign(**named))
    return frames


def preamble(
    control: PromptControl, controls: ControlsConfig, items: pd.DataFrame, form: Task, variant: Variant, prompts: PromptFormat
) -> Preamble:
    """Return what a control puts before a question.

    Args:
        control: which one.
        controls: its texts and its seed.
        items: one country's items with a column ``split``.
        form: whether questions are asked with options.
        variant: whether they name the country.
        prompts: the templates.

    Raises:
        YapoError: the country has too few training facts.
    """
    language, country = str(items["language"].iloc[0]), str(items["country"].iloc[0])
    turns = []
    for example in drawn_examples(items, variant, EXAMPLES.get(control, 0), controls.seed).to_dict("records"):
        turns.append(prompts.prompt(form, example["question"], example["options"]))
        turns.append(prompts.answer(form, example["options"], example["answer_index"]))
    return Preamble(controls.system(control, language, country), tuple(turns))


def drawn_examples(items: pd.DataFrame, variant: Variant, count: int, seed: int) -> pd.DataFrame:
    """Draw training items of ``count`` facts, one phrasing each; those of a smaller count are the first of a larger one.

    Raises:
        YapoError: there are not so many facts.
    """
    pool = items[(items["split"] == "train") & (items["variant"] == variant)]
    facts, rng = sorted(set(pool["question_id"])), np.random.default_rng([seed, 4])
    if len(facts) < count:
        raise YapoError(
            f"controls.rows=few_shot_{count}: {items['country'].iloc[0]} has {len(facts)} {variant} training facts; "
            "leave the control out, or raise split.train"
        )
    rows = []
    for place in rng.permutation(len(facts))[:count]:
        phrasings = pool[pool["question_id"] == facts[place]].sort_values("phrasing")
        rows.append(phrasings.iloc[int(rng.integers(len(phrasings)))])
    return pd.DataFrame(rows, columns=pool.columns)


def check_examples(controls: ControlsConfig, items: pd.DataFrame) -> None:
    """Refuse controls that need more training facts than a country has, before anything is asked."""
    for control in controls.rows:
        for variant in items["variant"].unique():
            drawn_examples(items, variant, EXAMPLES.get(control, 0), controls.seed)
