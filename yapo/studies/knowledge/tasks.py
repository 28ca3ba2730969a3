"""Tasks of lm-eval: the study's own about its countries, and the running and comparing of any of them.

Our own ask the localized test questions as multiple choice, for the effect of steering towards one country on knowledge of the
others. There is one lm-eval task for each country and form: ``culture_mcq_nepal`` shows the options and
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

from yapo.checks import TASKS, Task
from yapo.config import KnowledgeConfig
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError
from yapo.files import write_text
from yapo.studies.knowledge.steered_lm import SteeredLM, check_tasks

BOOTSTRAP = 1000  # resamples for the standard error of metrics that are no means
KEY = ["task", "metric", "question_id", "prompt"]
COLUMNS = ["questions", *KEY, "value", "stderr", "n"]


def culture_task(task: Task, country: str) -> str:
    """Return lm-eval's name of our task about a country; ``culture_<task>`` names those of all countries."""
    return f"culture_{task}_{country}"


def write_culture_tasks(folder: Path, items: pd.DataFrame, prompts: PromptFormat) -> None:
    """Write ``<name>.yaml`` and ``<name>.jsonl`` for every country of ``items`` and both forms.

    Args:
        folder: of the files; lm-eval finds the questions from the folder that it is started in.
        items: localized test items. Each fact is asked once, in its first wording: lm-eval's errors take questions as
            independent.
        prompts: the templates of the study's questions.
    """
    facts = items.sort_values(["question_id", "phrasing"]).drop_duplicates(["country", "question_id"])
    for task in TASKS:
        for country, part in facts.groupby("country"):
            name = culture_task(task, str(country))
            write_text(folder / f"{name}.jsonl", "".join(_lines(part, task, prompts)))
            write_text(folder / f"{name}.yaml", _yaml(folder, name, task))


def _lines(items: pd.DataFrame, task: Task, prompts: PromptFormat) -> Iterable[str]:
    for item, prompt in zip(items.to_dict("records"), prompts.prompts(task, items), strict=True):
        choices = [prompts.answer(task, item["options"], i) for i in range(len(item["options"]))]
        row = {"question_id": item["question_id"], "prompt": prompt, "choices": choices, "gold": item["answer_index"]}
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _yaml(folder: Path, name: str, task: Task) -> str:
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
        check_tasks(folder)
        ours = TaskManager(include_path=folder, include_defaults=False)
        self.our_tasks = set(ours.all_subtasks)
        manager = ours if set(config.tasks) <= set(ours.all_tasks) else TaskManager(include_path=folder)  # takes seconds
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
        for name, task in self.loaded["tasks"].items():
            if getattr(task, "UNSAFE_CODE", False):
                raise YapoError(f"knowledge.tasks={name}: this task runs the code that the model writes; leave it out")
            shots = task.get_config("num_fewshot")
            if shots is None or (config.num_fewshot is not None and shots != 0):
                task.set_config("num_fewshot", config.num_fewshot or 0)

    def ask(self, model: SteeredLM) -> pd.DataFrame:
        """Put every question to the model as it is steered now; examples in prompts are the same each time.

        Returns:
            Columns ``COLUMNS``. One row per question and metric, so that differences between two runs can be taken question by
            question, wherever a score is the mean of its questions' values; the others (a perplexity, a mean of tasks of
            unequal size) are one row with lm-eval's own ``stderr``, without ``question_id`` and ``prompt``.

            questions: the subject of a score: a task, the group that sums it up, or all of our own of one form.
            task, metric, question_id: lm-eval's name of the task, the metric with the filter that answers went through, and
                the question: our own fact, or ``<task>/<number>``.
            prompt: a hash of the whole prompt.
            value, stderr, n: in the metric's units; ``n`` questions stand behind a row.
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
        answers = pd.DataFrame(self._answers(results), columns=[*KEY, "value"])
        return pd.concat([self._rows(score, answers) for score in self._scores(results)], ignore_index=True)

    def _scores(self, results: dict[str, Any]) -> Iterable[dict[str, Any]]:
        """Return lm-eval's scores, except those that a group sums up."""
        groups = results["group_subtasks"].items()
        summed_up = {child for group, members in groups if self._sums_up(group) for child in members}
        for task, metrics in results["results"].items():
            for key, value in metrics.items():
                metric, comma, kept = key.partition(",")
                if comma and not metric.endswith("_stderr") and task not in summed_up:
                    stderr = metrics.get(f"{metric}_stderr,{kept}")
                    yield {
                        "task": task,
                        "metric": _metric(metric, kept),
                        "value": float(value),
                        "stderr": float(stderr) if isinstance(stderr, float) else float("nan"),
                        "n": int(metrics["sample_len"]),
                    }

    def _answers(self, results: dict[str, Any]) -> Iterable[tuple[str, str, str, str, float]]:
        """Return ``KEY`` and the value of each question, where a metric has one number for each."""
        for task, samples in results["samples"].items():
            for sample in samples:
                question = sample["doc"]["question_id"] if task in self.our_tasks else f"{task}/{sample['doc_id']}"
                for metric in sample["metrics"]:
                    if isinstance(sample[metric], int | float):
                        kept = _metric(metric, sample["filter"])
                        yield task, kept, question, sample["prompt_hash"], float(sample[metric])

    def _rows(self, score: dict[str, Any], answers: pd.DataFrame) -> pd.DataFrame:
        """Return the questions behind a score, or the score itself where it is not their mean."""
        answered = answers[answers["task"].isin(self.members(score["task"])) & (answers["metric"] == score["metric"])]
        if len(answered) == score["n"] and np.isclose(answered["value"].mean(), score["value"], rtol=0, atol=1e-9):
            rows: pd.DataFrame = answered.assign(stderr=float("nan"), n=1)
        else:
            rows = pd.DataFrame([{**score, "question_id": "", "prompt": ""}])
        return rows.assign(questions=self._questions(str(score["task"])))[COLUMNS]

    def _questions(self, task: str) -> str:
        return next((f"culture_{form}" for form in TASKS if task in self.our_tasks and task.startswith(f"culture_{form}_")), task)

    def _sums_up(self, group: str) -> bool:
        return bool(self.loaded["groups"][group].has_aggregation)

    def members(self, name: str) -> list[str]:
        """Return the tasks of a group, or the task itself."""
        groups = self.loaded.get("groups", {})
        return [task.task_name for task in groups[name].get_all_tasks()] if name in groups else [name]


def _metric(metric: str, kept: str) -> str:
    """Return the name of a metric, with the filter that its answers went through where there is one."""
    return metric if kept == "none" else f"{metric} ({kept})"


def check_same_questions(rows: pd.DataFrame, before: pd.DataFrame) -> None:
    """Refuse a baseline that was asked other questions, or the same ones otherwise."""
    key = [*KEY, "n"]
    if not rows[key].equals(before[key]):
        raise YapoError("the baseline was asked other questions; run the stage knowledge_baseline again")
