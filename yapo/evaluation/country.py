"""Evaluate one country: choose epochs and multipliers on validation, then answer the test questions once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
from torch import Tensor

from yapo.checks import Setting, Task
from yapo.config import VARIANTS, ControlsConfig, GenerationConfig
from yapo.data.prompts import PromptFormat
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.evaluation.judges import Judge
from yapo.evaluation.own_answers import OwnAnswers
from yapo.evaluation.preamble_controls import ask_behind_preambles
from yapo.evaluation.prompt_control import named_questions
from yapo.evaluation.scoring import Answerer, score
from yapo.evaluation.selection import Bound, Key, Trial, choose
from yapo.models.language_model import LanguageModel
from yapo.steering.interventions import Intervention

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A trained vector before selection: its values after each epoch ``[epochs, width]``, and how it is applied."""

    epochs: Tensor
    intervention: Intervention
    steer_bos: bool = False

    def condition(self, trial: Trial) -> Condition:
        """Return steering by this vector at a point of the grid."""
        return Condition(self.intervention, trial.multiplier * self.epochs[trial.epoch - 1], self.steer_bos)


@dataclass(frozen=True)
class Evaluator:
    """Evaluation of one country.

    Attributes:
        items: the country's items with a column ``split``.
        cache: generates, and keeps, completions.
        controls: which controls change the prompt.
    """

    lm: LanguageModel
    layer: int
    items: pd.DataFrame
    prompts: PromptFormat
    generation: GenerationConfig
    judge: Judge
    cache: CompletionCache
    controls: ControlsConfig = field(default_factory=ControlsConfig)

    @property
    def answerer(self) -> Answerer:
        """The answerer of this country's items."""
        return Answerer(self.prompts, self.generation, self.cache, self.judge)

    def select(
        self, candidates: dict[Key, Candidate], multipliers: Sequence[float], max_kl: float | None = None
    ) -> tuple[dict[Key, Trial], pd.DataFrame]:
        """Choose epoch and multiplier of every candidate on validation. See ``selection.choose``.

        Args:
            candidates: vectors by method, task and setting.
            multipliers: the grid of λ.
            max_kl: the largest 95th percentile of KL(steered ‖ unsteered) over tokens of the unsteered model's answers to
                validation questions, in nats; None for no bound.
        """

        def measure(trials: list[Trial]) -> pd.DataFrame:
            conditions = [candidates[trial.key].condition(trial) for trial in trials]
            scored = self.validate([(t.key[1], t.key[2], c) for t, c in zip(trials, conditions, strict=True)])
            return pd.DataFrame([score_summary(frame) for frame in scored])

        def divergences(trials: list[Trial]) -> list[float]:
            found: dict[Trial, float] = {}
            for task, setting in dict.fromkeys(trial.key[1:] for trial in trials):
                here = [trial for trial in trials if trial.key[1:] == (task, setting)]
                own = OwnAnswers.of(self.answerer, self._items(setting, "validation"), task)
                found |= zip(here, own.divergences([candidates[t.key].condition(t) for t in here]), strict=True)
            return [found[trial] for trial in trials]

        bound = None if max_kl is None else Bound(max_kl, divergences)
        return choose({key: len(candidate.epochs) for key, candidate in candidates.items()}, multipliers, measure, bound)

    def validate(self, requests: Sequence[tuple[Task, Setting, Condition]]) -> list[pd.DataFrame]:
        """Answer the validation items of each (task, setting) under a condition: one scored row per item."""
        return self._score_all(requests, "validation")

    def tested(self, requests: Sequence[tuple[Task, Setting, Condition]]) -> list[pd.DataFrame]:
        """Answer the test items of each (task, setting) under a condition: one scored row per item."""
        return self._score_all(requests, "test")

    def baseline_validation(self, tasks: Sequence[Task], settings: Sequence[Setting]) -> pd.DataFrame:
        """Score the unsteered model on validation, as multiplier 0."""
        task_settings = [(task, setting) for task in tasks for setting in settings]
        scored = self.validate([(task, setting, Condition()) for task, setting in task_settings])
        return pd.DataFrame(
            [
                {
                    "method": "baseline",
                    "task": task,
                    "setting": setting,
                    "epoch": 0,
                    "multiplier": 0.0,
                    "selected": True,
                    **score_summary(frame),
                }
                for (task, setting), frame in zip(task_settings, scored, strict=True)
            ]
        )

    def test(
        self, candidates: dict[Key, Candidate], chosen: dict[Key, Trial], task_settings: Sequence[tuple[Task, Setting]], seed: int
    ) -> pd.DataFrame:
        """Answer the test items by the baseline, the controls and every chosen vector; one row per item and condition."""
        plan: list[tuple[str, Task, Setting, Condition, Trial | None]] = []
        for task, setting in task_settings:
            plan.append(("baseline", task, setting, Condition(), None))
            chosen_here = {key: trial for key, trial in chosen.items() if key[1:] == (task, setting)}
            plan.append(("random", task, setting, self._random(candidates, chosen_here, task, setting, seed), None))
            plan += [(key[0], task, setting, candidates[key].condition(trial), trial) for key, trial in chosen_here.items()]
        scored = self._score_all([(task, setting, condition) for _, task, setting, condition, _ in plan], "test")
        frames = [
            frame.assign(
                method=method,
                task=task,
                setting=setting,
                multiplier=trial.multiplier if trial else 0.0,
                epoch=trial.epoch if trial else 0,
            )
            for (method, task, setting, _, trial), frame in zip(plan, scored, strict=True)
        ]
        prompted = ask_behind_preambles(self.answerer, self.items, self.controls, task_settings)
        return pd.concat([*frames, *self._named(task_settings), *prompted], ignore_index=True)

    def _named(self, task_settings: Sequence[tuple[Task, Setting]]) -> list[pd.DataFrame]:
        """Ask the prompt control: every question in the form that names the country, scored as the item it stands for.

        There is none where no question has that form.
        """
        frames = []
        has_form = (self.items["variant"] == "localized").any()
        for task, setting in task_settings if has_form else ():
            items = self._items(setting, "test")
            asked = items.assign(question=named_questions(self.items, items))
            completions = self.answerer.complete(asked, task, [Condition()])[0]
            frame = pd.concat([items, score(items, completions, task, self.judge)], axis=1)
            frames.append(frame.assign(method="prompt", task=task, setting=setting, multiplier=0.0, epoch=0))
        return frames

    def _random(
        self, candidates: dict[Key, Candidate], chosen_here: dict[Key, Trial], task: Task, setting: Setting, seed: int
    ) -> Condition:
        """Return a random direction that moves the residual stream as far as the strongest chosen vector of task and setting.

        How far is measured on validation prompts, or on test prompts where all items are for evaluation only.
        """
        split = "validation" if (self.items["split"] == "validation").any() else "test"
        prompts = self.answerer.token_ids(self._items(setting, split).head(CONTROL_PROMPTS), task)
        residual = Residual.of(self.lm, self.layer, prompts)
        moved = [residual.displacement(candidates[key].condition(trial)) for key, trial in chosen_here.items()]
        return random_control(moved, self.lm.d_model, seed)

    def _score_all(self, requests: Sequence[tuple[Task, Setting, Condition]], split: str) -> list[pd.DataFrame]:
        """Score each (task, setting, condition) on its items of a split. Conditions on the same prompts run together."""
        asked: list[int] = []
        answered: list[tuple[pd.DataFrame, Task, list[str]]] = []
        for task in dict.fromkeys(task for task, _, _ in requests):
            for variant in VARIANTS:
                indices = [i for i, (t, setting, _) in enumerate(requests) if t == task and setting in (variant, "both")]
                items = self._items(variant, split)
                if indices:
                    log.info("%s, %s %s: %d questions under %d conditions", split, task, variant, len(items), len(indices))
                written = self.answerer.complete(items, task, [requests[i][2] for i in indices])
                asked += indices
                answered += [(items, task, completions) for completions in written]
        frames: list[list[pd.DataFrame]] = [[] for _ in requests]
        for i, frame in zip(asked, self.answerer.score(answered), strict=True):
            frames[i].append(frame)
        return [pd.concat(parts, ignore_index=True) for parts in frames]

    def _items(self, setting: Setting, split: str) -> pd.DataFrame:
        items = self.items[self.items["split"] == split]
        return items if setting == "both" else items[items["variant"] == setting]


def score_summary(frame: pd.DataFrame) -> dict[str, float | int]:
    """Return counts, mean score and parse-failure rate of scored items."""
    return {
        "n": len(frame),
        "n_facts": frame["question_id"].nunique(),
        "score": float(frame["score"].mean()),
        "parse_failure_rate": float(1.0 - frame["parsed"].mean()),
    }
