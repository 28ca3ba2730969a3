"""Stage ``opinions``: one country's survey questions, answered by the unsteered model, under its vectors and two controls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from yapo.config import Config
from yapo.data.country_names import country_names
from yapo.data.global_opinions import Opinion, load_opinions
from yapo.errors import YapoError
from yapo.evaluation.bootstrap import Floats
from yapo.evaluation.decoding import Condition
from yapo.evaluation.likelihood import answer_log_probs
from yapo.evaluation.options import OptionAnswers
from yapo.files import write_parquet
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format
from yapo.steering.pair_batch import TokenOptions
from yapo.studies.country_job import CountryJob

READS = (
    "data.seed", "prompts", "model", "sae", "generation.likelihood", "methods", "studies.opinions.path", "studies.opinions.task",
    "studies.opinions.setting",
)  # fmt: skip
NAMED = "How would someone from {country} answer the following question?\n{question}"  # the prompt control, as in the paper


def main(config: Config) -> None:
    """Write ``studies/opinions.parquet`` for ``country``: one row per question and method.

    ``score`` is how alike the model's probabilities of the options and the country's shares are, see ``similarity``.
    """
    settings = config.studies.opinions
    opinions, _ = load_opinions(settings.path, config.country)
    job = CountryJob.open(config)
    lm, layer, vectors = job.lm, job.layer, job.vectors(settings.task, settings.setting)
    prompts, likelihood, rows = prompt_format(config), config.generation.likelihood, config.model.batch_size
    name = country_names()[config.country].country[0]
    plain, named = (
        OptionAnswers.of(_asked(opinions, template, name), prompts, lm.tokenizer, likelihood)
        for template in ("{question}", NAMED)
    )
    _check_length(config, [*plain.questions, *named.questions])
    steered = {method: vector.chosen for method, vector in vectors.items()}
    control = job.control([question.prompt for question in plain.questions], steered.values())
    conditions = {"baseline": Condition(), "random": control, **steered}
    measured = answer_log_probs(lm, layer, plain.questions, list(conditions.values()), rows)
    prompted = answer_log_probs(lm, layer, named.questions, [Condition()], rows)
    frames = []
    for method, log_probs in zip((*conditions, "prompt"), (*measured, *prompted), strict=True):
        scores = [
            similarity(probabilities(values, lengths), opinion.shares)
            for values, lengths, opinion in zip(log_probs, plain.lengths, opinions, strict=True)
        ]
        ids = [opinion.question_id for opinion in opinions]
        frames.append(pd.DataFrame({"method": method, "question_id": ids, "score": scores}))
    write_parquet(job.rows("opinions"), pd.concat(frames, ignore_index=True).assign(**job.labels))


def probabilities(log_probs: Sequence[float], lengths: Sequence[int]) -> Floats:
    """Return the model's probabilities of the options: those of their answers, divided by their sum, ``[options]``.

    Args:
        log_probs: of each option's answer.
        lengths: what divides each log-probability first, 1 each by default (``LikelihoodConfig``).
    """
    found: Floats = softmax(np.array(log_probs) / np.array(lengths))
    return found


def similarity(model: Floats, people: tuple[float, ...]) -> float:
    """Return 1 - D of two distributions: D is the Jensen-Shannon distance, the square root of the divergence in bits.

    1 where they are the same, 0 where they share no option (Durmus et al., arXiv 2306.16388).
    """
    return 1.0 - float(jensenshannon(model, people, base=2))


def _asked(opinions: list[Opinion], template: str, name: str) -> pd.DataFrame:
    """Return the questions as items."""
    return pd.DataFrame(
        {
            "question": [template.format(question=one.question, country=name) for one in opinions],
            "options": [list(one.options) for one in opinions],
        }
    )


def _check_length(config: Config, questions: list[TokenOptions]) -> None:
    longest, most = max(len(question.prompt) for question in questions), config.model.max_prompt_tokens
    if longest > most:
        raise YapoError(f"model.max_prompt_tokens={most}: a question of studies.opinions.path has {longest} tokens; raise it")


if __name__ == "__main__":
    run(main)
