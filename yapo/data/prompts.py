"""Prompts: items as the text that the model reads, in training, discovery and evaluation alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from yapo.checks import Task


@dataclass(frozen=True)
class PromptFormat:
    """The form in which items are put to the model.

    ``mcq`` receives ``{question}`` and ``{options}``; ``option`` receives ``{k}`` (1-based) and ``{option}``;
    ``open_ended`` receives ``{question}``. The answer to a multiple-choice question is ``boxed`` filled with ``k``.
    """

    mcq: str = "{options}\n{question}"
    option: str = "{k}) {option}"
    open_ended: str = "{question}"
    boxed: str = "\\boxed{{{k}}}"

    def prompt(self, task: Task, question: str, options: Sequence[str]) -> str:
        """Return the user's turn."""
        if task == "mcq":
            lines = [self.option.format(k=k, option=option) for k, option in enumerate(options, start=1)]
            return self.mcq.format(question=question, options="\n".join(lines))
        return self.open_ended.format(question=question)

    def prompts(self, task: Task, items: pd.DataFrame) -> list[str]:
        """Return the user's turn of every item."""
        return [
            self.prompt(task, question, options) for question, options in zip(items["question"], items["options"], strict=True)
        ]

    def answers(self, task: Task, items: pd.DataFrame) -> list[list[str]]:
        """Return the model's turns that pick each option of every item, ``[item][option]``."""
        return [[self.answer(task, options, index) for index in range(len(options))] for options in items["options"]]

    def answer(self, task: Task, options: Sequence[str], index: int) -> str:
        """Return the model's turn that picks option ``index`` (0-based)."""
        return self.boxed.format(k=index + 1) if task == "mcq" else options[index]
