"""lm-eval tasks of a study: our own about its countries, and the running and comparing of any of them.

Our own ask the localized test questions as multiple choice, so that they say what steering towards one country does to what
the model knows of the others. There is one lm-eval task for each country and form: ``culture_mcq_nepal`` shows the options and
scores their labels, ``culture_open_ended_nepal`` asks the question alone and scores the options as answers. They are files that
lm-eval reads by itself (``--include_path``): a YAML and a JSONL each.
"""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager

from yapo.config import KnowledgeConfig
from yapo.data.prompts import TASKS, PromptFormat
from yapo.errors import YapoError
from yapo.evaluation.knowledge import SteeredLM
from yapo.files import write_text

BOOTSTRAP = 1000  # resamples for the standard error of metrics that are no means
KEY = ["task", "metric", "doc_id", "prompt"]


def culture_task(task: str, country: str) -> str:
    """lm-eval's name of our task about a country; ``culture_<task>`` names those of all countries."""
    return f"culture_{task}_{country}"


def write_culture_tasks(folder: Path, items: pd.DataFrame, prompts: PromptFormat) -> None:
    """Write ``<name>.yaml`` and ``<name>.jsonl`` for every country of ``items`` and both forms.

    Args:
        folder: where to; lm-eval finds the questions from the folder that it is started in.
        items: localized test items. Each fact is asked once, in its first wording: lm-eval's errors take questions as
            independent.
        prompts: how the study puts questions.
    """
    facts = items.sort_values(["question_id", "phrasing"]).drop_duplicates(["country", "question_id"])
    for task in TASKS:
        for country, part in facts.groupby("country"):
            name = culture_task(task, str(country))
            write_text(folder / f"{name}.jsonl", "".join(_lines(part, task, prompts)))
            write_text(folder / f"{name}.yaml", _yaml(folder, name, task))


def _lines(items: pd.DataFrame, task: str, prompts: PromptFormat) -> Iterable[str]:
    for item, prompt in zip(items.to_dict("records"), prompts.prompts(task, items), strict=True):
        choices = [prompts.answer(task, item["options"], i) for i in range(len(item["options"]))]
        row = {"question_id": item["question_id"], "prompt": prompt, "choices": choices, "gold": item["answer_index"]}
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _yaml(folder: Path, name: str, task: str) -> str:
    settings = {
        "task": name,
        "tag": f"culture_{task}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "target_delimiter": "",
        "num_fewshot": 0,  # lm-eval never overrides 0
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1},
    }
    return yaml.safe_dump(settings, sort_keys=False)


class Questions:
    """lm-eval tasks, found and loaded before any model is.

    Args:
        config: which tasks, and how to ask.
        folder: our own tasks.

    Raises:
        YapoError: lm-eval has no task of that name, or its questions cannot be loaded.
    """

    def __init__(self, config: KnowledgeConfig, folder: Path) -> None:
        self.config = config
        own = TaskManager(include_path=folder, include_defaults=False)
        manager = own if set(config.tasks) <= set(own.all_tasks) else TaskManager(include_path=folder)  # which takes seconds
        for name in config.tasks:
            if name not in manager.all_tasks:
                near = difflib.get_close_matches(name, manager.all_tasks, n=3)
                hint = f"did you mean {', '.join(near)}? " if near else ""
                raise YapoError(f"knowledge.tasks={name}: unknown task; {hint}`lm-eval ls tasks` lists lm-eval's own")
        try:
            self.loaded = manager.load(list(config.tasks))
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            reason = str(error).strip().splitlines()[0]
            raise YapoError(
                f"knowledge.tasks={', '.join(config.tasks)}: cannot be loaded ({type(error).__name__}: {reason}); "
                "load questions from the hub once where it can be reached"
            ) from None
        for task in self.loaded["tasks"].values():
            shots = task.get_config("num_fewshot")
            if shots is None or (config.num_fewshot is not None and shots != 0):
                task.set_config("num_fewshot", config.num_fewshot or 0)

    def ask(self, model: SteeredLM) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Put every question to the model as it is steered now; examples in prompts are the same each time.

        Returns:
            Scores, with columns ``task, part_of, metric, value, stderr, n``, one row per task or group and metric, and
            single answers, with columns ``task, metric, doc_id, prompt, value``. ``part_of`` is the group whose score
            sums up a task, or empty; ``prompt`` a hash of the whole prompt; ``stderr`` lm-eval's, in the metric's units.
        """
        seed = self.config.seed
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        for task in self.loaded["tasks"].values():
            task.set_fewshot_seed(seed)
        results = evaluate(
            model,
            self.loaded,
            limit=self.config.limit,
            bootstrap_iters=BOOTSTRAP,
            apply_chat_template=self.config.chat_template,
            fewshot_as_multiturn=True,
        )
        return pd.DataFrame(self._scores(results)), pd.DataFrame(_answers(results), columns=[*KEY, "value"])

    def _scores(self, results: dict[str, Any]) -> Iterable[dict[str, Any]]:
        of_group = results["group_subtasks"].items()
        parent = {child: group for group, members in of_group if self._sums_up(group) for child in members}
        for task, metrics in results["results"].items():
            for key, value in metrics.items():
                metric, comma, kept = key.partition(",")
                if comma and not metric.endswith("_stderr"):
                    stderr = metrics.get(f"{metric}_stderr,{kept}")
                    yield {
                        "task": task,
                        "part_of": parent.get(task, ""),
                        "metric": _metric(metric, kept),
                        "value": float(value),
                        "stderr": float(stderr) if isinstance(stderr, float) else float("nan"),
                        "n": int(metrics["sample_len"]),
                    }

    def _sums_up(self, group: str) -> bool:
        return bool(self.loaded["groups"][group].has_aggregation)

    def members(self, name: str) -> list[str]:
        """The tasks of a group, or the task itself."""
        groups = self.loaded.get("groups", {})
        return [task.task_name for task in groups[name].get_all_tasks()] if name in groups else [name]


def _answers(results: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Values of single questions, where a metric has one number for each."""
    for task, samples in results["samples"].items():
        for sample in samples:
            for metric in sample["metrics"]:
                if isinstance(sample[metric], int | float):
                    key = (task, _metric(metric, sample["filter"]), int(sample["doc_id"]), sample["prompt_hash"])
                    yield {**dict(zip(KEY, key, strict=True)), "value": float(sample[metric])}


def _metric(metric: str, kept: str) -> str:
    """Name of a metric and of the filter that its answers went through, where there is one."""
    return metric if kept == "none" else f"{metric} ({kept})"


def compare(
    questions: Questions, scores: pd.DataFrame, answers: pd.DataFrame, before: pd.DataFrame, answers_before: pd.DataFrame
) -> pd.DataFrame:
    """Scores under steering with ``change`` from the baseline and its standard error.

    The same questions were asked before and after, so the error is that of the mean difference per question, which is smaller
    than that of two independent runs. It is NaN where a metric is no mean of its questions' values.

    Raises:
        YapoError: the baseline was asked other questions, or asked them otherwise.
    """
    pairs = answers.merge(answers_before, on=KEY, suffixes=("", "_before"), validate="one_to_one")
    rows = scores.merge(before[["task", "metric", "value", "n"]], on=["task", "metric", "n"], suffixes=("", "_before"))
    if len(rows) != len(scores) or len(rows) != len(before) or len(pairs) != len(answers):
        raise YapoError("the baseline was asked other questions; run the stage knowledge_baseline again")
    pairs["change"] = pairs["value"] - pairs["value_before"]
    rows["change"] = rows["value"] - rows.pop("value_before")
    rows["change_stderr"] = [
        _stderr(pairs.loc[pairs["task"].isin(questions.members(task)) & (pairs["metric"] == metric), "change"], change)
        for task, metric, change in rows[["task", "metric", "change"]].itertuples(index=False)
    ]
    return rows


def _stderr(changes: pd.Series, change: float) -> float:
    if len(changes) < 2 or not np.isclose(changes.mean(), change, rtol=0, atol=1e-9):
        return float("nan")
    return float(changes.std(ddof=1) / len(changes) ** 0.5)
