"""Stage ``reliability``: one country's vectors against its training pairs and its test answers, all from files."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from yapo.checks import Setting
from yapo.config import Config
from yapo.data.schema import read_table
from yapo.files import write_parquet
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.pairs import PreparedPairs, read_prepared
from yapo.stages.vectors import ChosenVector
from yapo.steering.methods import get_method
from yapo.steering.training.train_sets import train_sets
from yapo.studies.country_job import CountryJob

READS = ("model", "sae", "tasks", "methods", "studies.reliability.setting")
ITEM = ["question_id", "variant", "phrasing"]


def main(config: Config) -> None:
    """Write ``studies/reliability.parquet`` for ``country``: one row per task, method and test item.

    Columns beside the usual ones:
        score, baseline: of the item, steered and unsteered.
        agreement: mean cosine between the difference of a training pair and the mean difference of all.
        separability: see ``separability``; empty for a method whose edit depends on the prompt.
        pairs: number of training pairs.
    """
    paths, job, setting = Paths.of(config), CountryJob.open(config), config.studies.reliability.setting
    answers = read_table(paths.evaluation(job.language_folder, config.country))
    answers = answers[answers["setting"] == setting]
    frames = []
    for task in config.tasks:
        pairs = read_prepared(paths, job.language_folder, config.country, task)
        chosen, rejected = (side.to(job.lm.device) for side in answer_states(pairs, setting))
        of_task = answers[answers["task"] == task]
        baseline = of_task[of_task["method"] == "baseline"].set_index(ITEM)["score"].rename("baseline")
        for method, vector in job.vectors(task, setting).items():
            along = (
                None if get_method(method).space.reads_prompt else separability(chosen, rejected, mean_direction(vector, chosen))
            )
            rows = of_task[of_task["method"] == method].join(baseline, on=ITEM)
            measured = {"agreement": cosine_agreement(chosen - rejected), "separability": along, "pairs": len(chosen)}
            frames.append(rows[["language", "country", "task", "method", *ITEM, "score", "baseline"]].assign(**measured))
    write_parquet(job.rows("reliability"), pd.concat(frames, ignore_index=True))


def answer_states(pairs: PreparedPairs, setting: Setting) -> tuple[Tensor, Tensor]:
    """Return the mean residual stream over the tokens that predict each answer of the training pairs.

    Returns:
        Of the chosen and of the rejected answers, ``[pairs, d_model]`` each.
    """
    (part,) = train_sets(pairs.rows, [setting])
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for i in part.train:
        pair, hidden = pairs.store.pairs[i], pairs.store.hidden[i].float()
        start, middle = len(pair.prompt) - 1, len(pair.prompt) + len(pair.chosen) - 1
        sides[0].append(hidden[start:middle].mean(dim=0))
        sides[1].append(torch.cat([hidden[start : start + 1], hidden[middle:]]).mean(dim=0))
    return torch.stack(sides[0]), torch.stack(sides[1])


def mean_direction(vector: ChosenVector, states: Tensor) -> Tensor:
    """Return the mean change that a vector makes to some states at its λ, ``[d_model]``: a dense vector is its own direction.

    Args:
        vector: the vector.
        states: residual streams, ``[n, d_model]``.
    """
    hidden = states[None]
    live, u = (
        torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device),
        vector.multiplier * vector.values.to(hidden.device),
    )
    return vector.intervention.changes(hidden, u, live).float().mean(dim=0)


def cosine_agreement(differences: Tensor) -> float:
    """Return the mean cosine between each difference ``[n, d_model]`` and the mean of all."""
    return float(torch.cosine_similarity(differences, differences.mean(dim=0, keepdim=True), dim=1).mean())


def separability(chosen: Tensor, rejected: Tensor, along: Tensor) -> float:
    """Return d': the distance of the two sides' means along a direction, in units of their pooled standard deviation.

    Args:
        chosen, rejected: residual streams, ``[n, d_model]`` each.
        along: the direction, ``[d_model]``.
    """
    one, other = (side @ along for side in (chosen, rejected))
    spread = torch.sqrt((one.var() + other.var()) / 2)
    return float((one.mean() - other.mean()) / spread)


if __name__ == "__main__":
    run(main)
