"""Options of multiple-choice items as answers whose log-probabilities are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from yapo.config.evaluation import LikelihoodConfig, McqMetric
from yapo.data.prompts import PromptFormat
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition
from yapo.evaluation.exact import parse_choice
from yapo.evaluation.likelihood import answer_log_probs
from yapo.evaluation.preamble import NO_PREAMBLE, Preamble
from yapo.models.language_model import LanguageModel
from yapo.models.tokenizer import ChatTokenizer
from yapo.steering.pair_batch import TokenOptions

# What lm-eval's metrics divide the log-probability of an answer by.
_LENGTHS: dict[McqMetric, Callable[[str], int]] = {
    "acc": lambda _: 1,
    "acc_norm": len,
    "acc_bytes": lambda answer: len(answer.encode()),
}


@dataclass(frozen=True)
class OptionAnswers:
    """The answers to choose from, of each question.

    Attributes:
        questions: prompts with their answers.
        lengths: what divides the log-probability of each answer, ``[question][answer]``.
        texts: what a choice is written as, ``[question][answer]``.
    """

    questions: Sequence[TokenOptions]
    lengths: Sequence[Sequence[int]]
    texts: Sequence[Sequence[str]]

    @classmethod
    def of(
        cls,
        items: pd.DataFrame,
        prompts: PromptFormat,
        tokenizer: ChatTokenizer,
        settings: LikelihoodConfig,
        preamble: Preamble = NO_PREAMBLE,
    ) -> OptionAnswers:
        """Return the options of items, written as boxed answers; see ``LikelihoodConfig``."""
        compared, texts = (prompts.answers(task, items) for task in (settings.form, "mcq"))
        questions = [
            token_options(tokenizer, prompt, answers, preamble)
            for prompt, answers in zip(prompts.prompts(settings.form, items), compared, strict=True)
        ]
        return cls(questions, [[_LENGTHS[settings.metric](answer) for answer in answers] for answers in compared], texts)

    def choose(self, lm: LanguageModel, layer: int, conditions: Sequence[Condition], rows: int) -> list[list[str]]:
        """Return the text of the answer with the highest log-probability per length, ``[condition][question]``.

        Of equally likely answers the first is chosen.

        Args:
            lm: the model.
            layer: 0-based block whose output is edited, unless an intervention names one of its own.
            conditions: ways to answer; they share the forward passes below the steered layer.
            rows: of one forward pass.
        """
        measured = answer_log_probs(lm, layer, self.questions, conditions, rows)
        return [
            [text[_likeliest(*pair)] for pair, text in zip(zip(values, self.lengths, strict=True), self.texts, strict=True)]
            for values in measured
        ]

    @property
    def key(self) -> list[object]:
        """All that decides a choice, but for the model and the condition."""
        return [[[question.prompt, *question.answers] for question in self.questions], self.lengths, self.texts]


def token_options(
    tokenizer: ChatTokenizer, prompt: str, answers: Sequence[str], preamble: Preamble = NO_PREAMBLE
) -> TokenOptions:
    """Return the tokens of a question and its answers; that which ends the turn does not count, as in lm-eval."""
    return TokenOptions(preamble.prompt(tokenizer, prompt), tuple(tokenizer.response(answer)[:-1] for answer in answers))


def chosen_texts(items: pd.DataFrame, completions: Sequence[str]) -> list[str]:
    """Return the options that boxed completions choose, as what they say.

    Raises:
        YapoError: a completion chooses none.
    """
    texts = []
    for options, completion in zip(items["options"], completions, strict=True):
        choice = parse_choice(completion, len(options))
        if choice is None:
            raise YapoError(f"{shown(completion)}: chooses none of {len(options)} options; give the likeliest of each question")
        texts.append(options[choice])
    return texts


def _likeliest(log_probs: Sequence[float], lengths: Sequence[int]) -> int:
    values = [log_prob / length for log_prob, length in zip(log_probs, lengths, strict=True)]
    return max(range(len(values)), key=values.__getitem__)
