"""lm-eval's own clients score and generate through the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import yapo
from tests.api.conftest import MODEL
from tests.conftest import ROOT
from tests.serving.conftest import NAME
from tests.serving.reference import answer, loaded, log_probs

pytest.importorskip("lm_eval", reason="the extra 'knowledge' is not installed")
QUESTIONS = pd.read_csv(ROOT / "world" / "behaviours" / "wealth_seeking" / "test.csv", nrows=4)
SHARED: dict[str, Any] = {"dataset_path": "json", "test_split": "test", "num_fewshot": 0, "metadata": {"version": 1}}
CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "question",
    "doc_to_choice": "choices",
    "doc_to_target": 0,
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
GENERATED = {
    "output_type": "generate_until",
    "doc_to_text": "question",
    "doc_to_target": "",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 24, "steering": {"vector": "sparse", "multiplier": 3}},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


def evaluated(folder: Path, task: dict[str, Any], model: str, address: str, path: str, **given: Any) -> dict[str, Any]:
    """Return lm-eval's results and samples on a task of a few questions."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    rows = [
        {"question": row["question"], "choices": [f" {row['matching']}", f" {row['not_matching']}"]}
        for row in QUESTIONS.to_dict("records")
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files = {"dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}}
    (folder / "task.yaml").write_text(yaml.safe_dump({"task": "wealth", **SHARED, **files, **task}), encoding="utf-8")
    found = simple_evaluate(
        model=model,
        model_args={"model": NAME, "base_url": f"{address}{path}", "tokenizer": str(MODEL), "max_length": 512, **given},
        tasks=["wealth"],
        task_manager=TaskManager(include_path=folder, include_defaults=False),
        bootstrap_iters=0,
        apply_chat_template=model == "local-chat-completions",
    )
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("given", [{"num_concurrent": 1}, {"num_concurrent": 4, "batch_size": 2}], ids=["one by one", "at once"])
def test_options_are_scored(tmp_path: Path, address: str, sparse: Path, given: dict[str, int]) -> None:
    """Against one plain pass an option, under the server's default vector."""
    found = evaluated(tmp_path, CHOICE, "local-completions", address, "/v1/completions", tokenizer_backend="huggingface", **given)
    tokenizer, multiplier = loaded()[1], yapo.load_vector(sparse).info.multiplier
    right = []
    for sample in sorted(found["samples"]["wealth"], key=lambda sample: sample["doc_id"]):
        sums = []
        for (context, option), ((loglikelihood, is_greedy),) in zip(sample["arguments"], sample["resps"], strict=True):
            whole = tokenizer.encode(context + option, add_special_tokens=False)
            start = len(tokenizer.encode(context, add_special_tokens=False))
            rows = log_probs(whole, [sparse], [multiplier])[start - 1 : -1]
            told = [rows[i, token].item() for i, token in enumerate(whole[start:])]
            assert float(loglikelihood) == pytest.approx(sum(told), abs=1e-3)
            assert is_greedy in (rows.argmax(dim=1).tolist() == whole[start:], str(rows.argmax(dim=1).tolist() == whole[start:]))
            sums.append(sum(told))
        right.append(sums[0] > sums[1])
    assert found["results"]["wealth"]["acc,none"] == pytest.approx(sum(right) / len(right))


def test_chats_are_generated(tmp_path: Path, address: str, sparse: Path) -> None:
    found = evaluated(tmp_path, GENERATED, "local-chat-completions", address, "/v1/chat/completions", num_concurrent=2)
    for sample in found["samples"]["wealth"]:
        assert sample["resps"] == [[answer(sample["doc"]["question"], [sparse], [3])]]
