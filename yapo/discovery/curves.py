"""Curves over layers, one country's: activation patching and steerability, each point with an interval over facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.stats import bootstrap

from yapo.checks import Task
from yapo.config import GenerationConfig
from yapo.data.prompts import PromptFormat
from yapo.discovery.patching import Per, make_probe, patch_all_layers
from yapo.discovery.steerability import steer_every_layer
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition, Decoder
from yapo.evaluation.exact import exact
from yapo.evaluation.options import OptionAnswers
from yapo.models.language_model import LanguageModel

Point = dict[str, object]
_Ask = Callable[[int, list[Condition]], list[list[str]]]


@dataclass(frozen=True)
class CountryCurves:
    """The curves of one country.

    Attributes:
        items: the country's items with a column ``split``.
        multipliers: strengths that steerability tries.
        batch_size: rows of one forward pass.
        seed: of the bootstrap.
        per: what the probabilities of patching are of: whole answers, or their tokens in the geometric mean.
    """

    lm: LanguageModel
    items: pd.DataFrame
    country: str
    prompts: PromptFormat
    generation: GenerationConfig
    multipliers: Sequence[float]
    batch_size: int
    seed: int
    per: Per = "answer"

    def patching(self, task: Task) -> list[Point]:
        """Return the probability of the country's own answer and of the Western one, patched after each layer.

        Raises:
            YapoError: one is not finite.
        """
        prompts, tokenizer = self.prompts, self.lm.tokenizer
        localized, nonlocalized = _pairs_of_variants(self.items[self.items["control_index"] >= 0], "validation")
        probes = [
            make_probe(
                tokenizer.prompt(prompts.prompt(task, source["question"], source["options"])),
                tokenizer.prompt(prompts.prompt(task, target["question"], target["options"])),
                tokenizer.response(prompts.answer(task, target["options"], target["answer_index"])),
                tokenizer.response(prompts.answer(task, target["options"], target["control_index"])),
            )
            for source, target in zip(localized.to_dict("records"), nonlocalized.to_dict("records"), strict=True)
        ]
        values = patch_all_layers(self.lm, probes, self.batch_size, self.per)
        if not bool(values.isfinite().all()):
            raise YapoError(
                f"{self.lm.source}: patching on {task} for {self.country} gives probabilities that are not finite; "
                "check the model, or take another model.dtype"
            )
        points = []
        for side, curve in enumerate(("patching", "patching_western")):
            ends = {"base": float(values[-2, :, side].mean()), "ceiling": float(values[-1, :, side].mean())}
            for layer in range(self.lm.n_layers):
                point = self._point(curve, task, layer, values[layer, :, side].tolist(), nonlocalized["question_id"])
                points.append({**point, **ends})
        return points

    def steerability(self, task: Task) -> list[Point]:
        """Return the accuracy on non-localized questions under the best multiplier of each layer's mean difference."""
        localized, nonlocalized = _pairs_of_variants(self.items, "train")
        _, questions = _pairs_of_variants(self.items, "validation")

        def encode(frame: pd.DataFrame) -> list[list[int]]:
            return [self.lm.tokenizer.prompt(text) for text in self.prompts.prompts(task, frame)]

        strengths, ask = [0.0, *self.multipliers], self._asking(questions, encode(questions), task)
        steered = steer_every_layer(
            self.lm,
            encode(localized),
            encode(nonlocalized),
            strengths,
            self.batch_size,
            lambda layer, conditions: [exact(questions, texts, task) for texts in ask(layer, conditions)],
        )
        return [
            self._point("steerability", task, layer, [float(value) for value in values], questions["question_id"])
            for layer, values in enumerate(steered)
        ]

    def _asking(
        self, items: pd.DataFrame, prompts: list[list[int]], task: Task
    ) -> Callable[[int, list[Condition]], list[list[str]]]:
        """Return what asks items under edits of a layer, ``[condition][item]``."""
        if self.generation.by_likelihood(task):
            options = OptionAnswers.of(items, self.prompts, self.lm.tokenizer, self.generation.likelihood)
            return lambda layer, conditions: options.choose(self.lm, layer, conditions, self.batch_size)
        decoder = Decoder(self.lm, self.batch_size)

        def decode(layer: int, conditions: list[Condition]) -> list[list[str]]:
            written = decoder.complete(layer, prompts, conditions, self.generation.max_new_tokens(task))
            return [[self.lm.tokenizer.decode(ids) for ids in completions] for completions in written]

        return decode

    def _point(self, curve: str, task: Task, layer: int, values: list[float], facts: Iterable[str]) -> Point:
        mean, low, high = _interval(values, facts, self.seed)
        labels: Point = {"curve": curve, "task": task, "country": self.country, "layer": layer}
        return {**labels, "value": mean, "low": low, "high": high, "n": len(values)}


def _pairs_of_variants(items: pd.DataFrame, split: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the items of a split in both forms, row by row the same question.

    Raises:
        YapoError: there is none.
    """
    of_split = items[items["split"] == split]
    sides = [
        of_split[of_split["variant"] == v].set_index(["question_id", "phrasing"]).sort_index()
        for v in ("localized", "nonlocalized")
    ]
    common = sides[0].index.intersection(sides[1].index)
    if not len(common):
        raise YapoError(
            f"no {split} question has both a localized and a non-localized form and a control option; set discovery.layer instead"
        )
    return sides[0].loc[common].reset_index(), sides[1].loc[common].reset_index()


def _interval(values: list[float], facts: Iterable[str], seed: int) -> tuple[float, float, float]:
    """Return the mean, and its bootstrap interval over facts."""
    by_fact = pd.DataFrame({"fact": list(facts), "value": values}).groupby("fact")["value"].mean()
    mean = float(pd.Series(values).mean())
    if by_fact.nunique() <= 1:
        return mean, mean, mean
    interval = bootstrap(
        (by_fact.to_numpy(),), lambda x, axis: x.mean(axis=axis), n_resamples=1000, rng=seed, method="percentile"
    ).confidence_interval
    return mean, float(interval.low), float(interval.high)
