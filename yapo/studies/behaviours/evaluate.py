"""Stage ``behaviour_evaluate``: choose epoch and strength of each vector of a behaviour, and test it at both signs.

Epoch and |λ| are chosen on validation as those with the widest range, mean at +λ less mean at -λ, of what ``select_by`` names;
the test questions are then answered once at -λ, unsteered and at +λ. Choosing one strength for both signs tests the claim of the
bi-directional objective: that the same vector turned around undoes the behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from yapo.checks import Task
from yapo.config import Config
from yapo.data.behaviours import LANGUAGE
from yapo.data.schema import read_table
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Candidate
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.evaluation.judges import Judge, Request, get_judge
from yapo.evaluation.judges.behaviour import behaviour_rubric
from yapo.evaluation.likelihood import answer_log_probs
from yapo.evaluation.options import token_options
from yapo.evaluation.refusal import refuses
from yapo.evaluation.selection import Key, Trial, choose
from yapo.files import write_json, write_parquet
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import read_layer
from yapo.stages.vectors import candidates_of, trained_vectors
from yapo.studies.behaviours import SelectBy

READS = (
    "data.seed",
    "model",
    "sae",
    "discovery.layer",
    "generation.max_new_tokens_open_ended",
    "judge",
    "methods",
    "studies.behaviours",
)

TASK: Task = "open_ended"
COLUMNS = [
    "behaviour", "method", "direction", "multiplier", "epoch", "question_id", "score", "parsed", "refused",
    "preferred", "completion", "prompt", "chosen", "rejected",
]  # fmt: skip


def main(config: Config) -> None:
    """Write ``validation.parquet``, ``evaluation.parquet`` and ``vectors/`` of the behaviour that ``country`` names."""
    paths, layer, behaviour, wanted = Paths.of(config), read_layer(config), config.country, config.studies.behaviours
    judge = get_judge(config.judge, behaviour_rubric(behaviour))
    folder = paths.country(LANGUAGE, behaviour)
    learned, test = read_table(paths.pairs(LANGUAGE, behaviour, TASK)), read_table(folder / "pairs" / "test.parquet")
    lm = load_language_model(config.model)
    trained = trained_vectors(config, paths, LANGUAGE)
    candidates = candidates_of(config, trained, lm, layer)
    cache = CompletionCache(folder / "completions.json", lm, layer, config.model.batch_size)
    pairs = pd.concat([learned, test], ignore_index=True)
    evaluator = BehaviourEvaluator(lm, pairs, judge, cache, config.generation.max_new_tokens(TASK))
    with cache:
        chosen, grid = evaluator.select(candidates, wanted.multipliers, wanted.select_by)
        asked = pairs.loc[pairs["split"] == "validation", "prompt"].drop_duplicates().head(CONTROL_PROMPTS)
        residual = Residual.of(lm, layer, [lm.tokenizer.prompt(text) for text in asked])
        moved = [residual.displacement(candidates[key].condition(trial)) for key, trial in chosen.items()]
        control = random_control(moved, lm.d_model, config.data.seed)
        tested = evaluator.test(candidates, chosen, (control, control.scaled(-1.0)))
    for key, trial in chosen.items():
        trained[key].chosen(trial.epoch, trial.multiplier).save(paths.vector(LANGUAGE, behaviour, *key))
    write_parquet(paths.validation(LANGUAGE, behaviour), grid.assign(behaviour=behaviour))
    write_parquet(paths.evaluation(LANGUAGE, behaviour), tested.assign(behaviour=behaviour)[COLUMNS])
    write_json(paths.judged(LANGUAGE, behaviour), judge.report())


@dataclass(frozen=True)
class BehaviourEvaluator:
    """Evaluation of one behaviour: one vector, one strength, both signs of d.

    Attributes:
        pairs: questions with the answer that shows the behaviour (``chosen``) and the one that does not (``rejected``), and
            a column ``split``.
        judge: grades from 1 to 4.
        max_new_tokens: limit of one completion.
    """

    lm: LanguageModel
    pairs: pd.DataFrame
    judge: Judge
    cache: CompletionCache
    max_new_tokens: int

    def select(
        self, candidates: Mapping[Key, Candidate], multipliers: Sequence[float], by: SelectBy
    ) -> tuple[dict[Key, Trial], pd.DataFrame]:
        """Choose epoch and |λ| of every candidate on validation. See ``selection.choose``; ``score`` is the range of ``by``."""

        def measure(trials: list[Trial]) -> pd.DataFrame:
            conditions = [candidates[t.key].condition(Trial(t.key, t.epoch, d * t.multiplier)) for t in trials for d in (1, -1)]
            scored = self.answer(conditions, "validation") if by == "grade" else self.prefer(conditions, "validation")
            return pd.DataFrame([_range(up, down) for up, down in zip(scored[::2], scored[1::2], strict=True)])

        return choose({key: len(candidate.epochs) for key, candidate in candidates.items()}, multipliers, measure)

    def test(
        self, candidates: Mapping[Key, Candidate], chosen: Mapping[Key, Trial], random: tuple[Condition, Condition]
    ) -> pd.DataFrame:
        """Answer the test questions unsteered, by a random direction and by every chosen vector, at both signs.

        Args:
            candidates, chosen: the vectors, and what ``select`` chose of each.
            random: the control at + and at -.

        Returns:
            One row per question and condition, with ``method``, ``direction`` (-1, 0, 1), ``multiplier`` and ``epoch``.
        """
        plan: list[tuple[str, int, float, int, Condition]] = [("baseline", 0, 0.0, 0, Condition())]
        plan += [("random", d, 0.0, 0, condition) for d, condition in zip((1, -1), random, strict=True)]
        for key, trial in chosen.items():
            for d in (1, -1):
                signed = Trial(key, trial.epoch, d * trial.multiplier)
                plan.append((key[0], d, signed.multiplier, signed.epoch, candidates[key].condition(signed)))
        conditions = [condition for *_, condition in plan]
        answered, preferred = self.answer(conditions, "test"), self.prefer(conditions, "test")
        frames = [
            frame.assign(preferred=one["score"] > 0, method=method, direction=direction, multiplier=multiplier, epoch=epoch)
            for (method, direction, multiplier, epoch, _), frame, one in zip(plan, answered, preferred, strict=True)
        ]
        return pd.concat(frames, ignore_index=True)

    def answer(self, conditions: Sequence[Condition], split: str) -> list[pd.DataFrame]:
        """Return scored answers to the questions of a split under each condition: ``completion, score, parsed, refused``."""
        asked = self._questions(split)
        prompts = [self.lm.tokenizer.prompt(text) for text in asked["prompt"]]
        written = self.cache.complete(prompts, list(conditions), self.max_new_tokens)
        requests = [
            Request(question, shows, text, opposite=does_not)
            for texts in written
            for question, shows, does_not, text in zip(asked["prompt"], asked["chosen"], asked["rejected"], texts, strict=True)
        ]
        scores = pd.Series([judgement.score for judgement in self.judge.judge(requests)], dtype=float)
        frames = []
        for i, texts in enumerate(written):
            of_condition = scores.iloc[i * len(asked) : (i + 1) * len(asked)].to_numpy()
            refused = [refuses(text) for text in texts]
            frame = asked.reset_index(drop=True).assign(
                completion=texts, score=of_condition, refused=refused, parsed=~pd.isna(of_condition)
            )
            frames.append(frame)
        return frames

    def prefer(self, conditions: Sequence[Condition], split: str) -> list[pd.DataFrame]:
        """Return under each condition whether the answer that shows the behaviour is the likelier one: ``score``, 100 or 0."""
        asked = self._questions(split)
        questions = [
            token_options(self.lm.tokenizer, prompt, answers)
            for prompt, *answers in asked[["prompt", "chosen", "rejected"]].itertuples(index=False)
        ]
        measured = answer_log_probs(self.lm, self.cache.layer, questions, list(conditions), self.cache.batch_size)
        same = asked.reset_index(drop=True).assign(parsed=True)
        return [same.assign(score=[100.0 * (shows > does_not) for shows, does_not in values]) for values in measured]

    def _questions(self, split: str) -> pd.DataFrame:
        return self.pairs[self.pairs["split"] == split].drop_duplicates("question_id")


def _range(up: pd.DataFrame, down: pd.DataFrame) -> dict[str, float | int]:
    both = pd.concat([up, down])
    return {
        "n": len(both),
        "n_facts": both["question_id"].nunique(),
        "score": float(up["score"].mean() - down["score"].mean()),
        "score_up": float(up["score"].mean()),
        "score_down": float(down["score"].mean()),
        "parse_failure_rate": float(1.0 - both["parsed"].mean()),
    }


if __name__ == "__main__":
    run(main)
