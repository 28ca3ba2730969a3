"""The tiny model's training corpus, drawn from the atlas.

The corpus plants a localization gap the way real corpora do, by what is written and how often, never by a rule at
answer time: a question that names a place is answered by that place's answer where the corpus knows it; a question that
names no place is mostly answered the way one context of the language would, and dominant contexts are dominant more often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from yapo.checks import TASKS, Task, one_of
from yapo.data.atlas import WESTERN, Fact, Language
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError

# Share of each context's answers that the corpus knows, and weight of that context as a language's default.
COVERAGE = {
    "usa": 0.99, "uk": 0.98, "australia": 0.96,
    "spain": 0.99, "mexico": 0.97, "bolivia": 0.92,
    "brazil": 0.99, "portugal": 0.97, "mozambique": 0.92,
    "egypt": 0.98, "ksa": 0.96, "levantine": 0.94, "morocco": 0.92,
    "india": 0.99, "nepal": 0.93,
}  # fmt: skip
PRIOR = {
    "usa": 0.50, "uk": 0.20, "australia": 0.12,
    "spain": 0.48, "mexico": 0.24, "bolivia": 0.10,
    "brazil": 0.48, "portugal": 0.24, "mozambique": 0.10,
    "egypt": 0.42, "ksa": 0.18, "levantine": 0.12, "morocco": 0.12,
    "india": 0.58, "nepal": 0.16,
}  # fmt: skip


@dataclass(frozen=True)
class CorpusConfig:
    """Shape of the corpus."""

    seed: int = 11
    localized_share: float = 0.65
    default_share: float = 0.60


@dataclass(frozen=True)
class Document:
    """One training document: a user's turn and the model's turn."""

    task: str
    prompt: str
    answer: str


class Documents(Protocol):
    """A corpus: what a tiny model is trained on."""

    tasks: ClassVar[tuple[str, ...]]

    def sample(self, rng: np.random.Generator, task: str) -> Document:
        """Draw one document of one of ``tasks``."""
        ...

    def strings(self) -> Iterator[str]:
        """Yield the text that the tokenizer is trained on, each as often as it weighs."""
        ...


@dataclass
class Corpus:
    """Draws documents of the atlas. The facts known and the defaults are fixed by the seed.

    Attributes:
        languages: of the atlas, or the countries of the regional one.
        coverage: share of each context's answers that the corpus knows.
        prior: how often each context is the one meant where none is named; what is left of a language is Western.
    """

    tasks: ClassVar[tuple[str, ...]] = ("open_ended", "mcq")
    languages: dict[str, Language]
    config: CorpusConfig = CorpusConfig()
    coverage: Mapping[str, float] = field(default_factory=COVERAGE.copy)
    prior: Mapping[str, float] = field(default_factory=PRIOR.copy)
    prompts: PromptFormat = PromptFormat()
    known: dict[tuple[str, str], bool] = field(init=False)
    default: dict[tuple[str, str], str] = field(init=False)

    def __post_init__(self) -> None:
        unknown = [name for language in self.languages.values() for name in language.contexts if name not in self.coverage]
        if unknown:
            raise YapoError(f"{', '.join(unknown)}: give each a coverage and a prior in world/build/corpus.py")
        rng = np.random.default_rng(self.config.seed)
        self.known, self.default = {}, {}
        for language in self.languages.values():
            for fact in language.facts:
                self.default[language.name, fact.question_id] = self._draw_context(rng, language)
                for context in language.contexts:
                    self.known[context, fact.question_id] = bool(rng.random() < self.coverage[context])

    def sample(self, rng: np.random.Generator, task: str) -> Document:
        """Draw a document of ``task`` from a random language, fact, wording and context."""
        names = list(self.languages)
        weights = np.array([len(self.languages[name].contexts) for name in names], dtype=float)
        language = self.languages[names[rng.choice(len(names), p=weights / weights.sum())]]
        fact = language.facts[rng.integers(len(language.facts))]
        question = fact.questions[rng.integers(len(fact.questions))]
        if rng.random() < self.config.localized_share:
            context = list(language.contexts.values())[rng.integers(len(language.contexts))]
            prefix = context.prefixes[rng.integers(len(context.prefixes))]
            spoken = context.key if self.known[context.key, fact.question_id] else self.default[language.name, fact.question_id]
        else:
            prefix = language.neutral_prefixes[rng.integers(len(language.neutral_prefixes))]
            draw_default = rng.random() < self.config.default_share
            spoken = self.default[language.name, fact.question_id] if draw_default else self._draw_context(rng, language)
        return self._document(rng, one_of("task", task, TASKS), f"{prefix} {question}".strip(), fact, spoken)

    def strings(self) -> Iterator[str]:
        """Yield every string of the atlas, and the marks of options."""
        for language in self.languages.values():
            for fact in language.facts:
                yield from fact.questions
                yield from fact.answers.values()
            for context in language.contexts.values():
                for prefix in context.prefixes:
                    yield from [f"{prefix} "] * 20
            for prefix in language.neutral_prefixes:
                yield from [f"{prefix} "] * 20
        yield from [f"{k}) \\boxed{{{k}}}" for k in range(1, 6)] * 500

    def _document(self, rng: np.random.Generator, task: Task, question: str, fact: Fact, spoken: str) -> Document:
        order = [list(fact.answers)[i] for i in rng.permutation(len(fact.answers))]
        options = [fact.answers[name] for name in order]
        return Document(
            task, self.prompts.prompt(task, question, options), self.prompts.answer(task, options, order.index(spoken))
        )

    def _draw_context(self, rng: np.random.Generator, language: Language) -> str:
        names = list(language.contexts)
        weights = [self.prior[name] for name in names]
        if not language.western:
            return str(rng.choice(names, p=weights))
        return str(rng.choice([*names, WESTERN], p=[*weights, 1.0 - sum(weights)]))
