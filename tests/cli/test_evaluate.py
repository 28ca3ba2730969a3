"""``yapo evaluate``: accuracies against the library's own forward pass, with their intervals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

import yapo as package
from tests.api.conftest import COLUMNS, MODEL, SAE_FOLDER
from tests.cli.command import refused, yapo
from tests.conftest import ROOT
from tests.evaluation.judges.endpoint import Endpoint, parts_of
from yapo.api.answers import answers
from yapo.api.models import opened_model
from yapo.models.tokenizer import ChatTokenizer


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of the behaviour that no vector here was trained on."""
    path = tmp_path_factory.mktemp("data") / "test.csv"
    rows = pd.read_csv(ROOT / "world" / "behaviours" / "wealth_seeking" / "test.csv", nrows=24)
    rows.rename(columns=COLUMNS).to_csv(path, index=False)
    return path


@contextmanager
def steered(vector: Path, multiplier: float) -> Iterator[tuple[PreTrainedModel, ChatTokenizer]]:
    """The whole model under ``yapo.steer``, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    with opened_model(MODEL) as lm, package.steer(model, package.load_vector(vector), multiplier, sae=SAE_FOLDER):
        yield model, lm.tokenizer


def log_probs(model: PreTrainedModel, prompt: list[int], answer: list[int]) -> list[float]:
    """An answer by itself, token by token."""
    with torch.no_grad():
        logs = model(torch.tensor([prompt + answer])).logits[0].log_softmax(dim=-1)
    return [float(logs[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)]


def plain_accuracy(data: Path, vector: Path, multiplier: float) -> float:
    right = list[bool]()
    with steered(vector, multiplier) as (model, tokenizer):
        for row in pd.read_csv(data).itertuples():
            prompt = tokenizer.prompt(str(row.prompt))
            answers = [log_probs(model, prompt, tokenizer.response(str(text))) for text in (row.chosen, row.rejected)]
            means = [sum(values) / len(values) for values in answers]
            right.append(means[0] > means[1])
    return sum(right) / len(right)


def test_accuracies_are_those_of_the_library(capfd: pytest.CaptureFixture[str], data: Path, sparse: Path) -> None:
    arguments = ("evaluate", "--model", MODEL, "--vector", sparse, "--data", data, "-m", 3, "--sae", SAE_FOLDER)
    done = yapo(capfd, *arguments, "--json")
    assert (done.status, done.err) == (0, "")
    rows = {row["condition"]: row for row in map(json.loads, done.out.splitlines())}
    assert list(rows) == ["unsteered", "steered", "random"]
    assert rows["unsteered"]["value"] == pytest.approx(plain_accuracy(data, sparse, 0.0))
    assert rows["steered"]["value"] == pytest.approx(plain_accuracy(data, sparse, 3.0))
    assert rows["steered"]["value"] > rows["unsteered"]["value"]
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] == 24 for row in rows.values())
    assert yapo(capfd, *arguments).out.startswith(f"unsteered  {100 * rows['unsteered']['value']:5.1f} % [")


def items(data: Path, path: Path, *columns: str) -> Path:
    """The pairs as questions whose right option is the chosen answer, now first, now second."""
    rows = []
    for number, row in enumerate(pd.read_csv(data).itertuples()):
        options = [str(row.chosen), str(row.rejected)][:: 1 if number % 2 else -1]
        whole = {"question": row.prompt, "options": options, "answer_index": options.index(str(row.chosen)), "answer": row.chosen}
        rows.append({name: whole[name] for name in columns})
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def measured(capfd: pytest.CaptureFixture[str], vector: Path, data: Path, *options: object) -> dict[str, Any]:
    found = yapo(
        capfd, "evaluate", "--model", MODEL, "--vector", vector, "--data", data, "-m", 3, "--sae", SAE_FOLDER, "--json", *options
    )
    assert (found.status, found.err) == (0, "")
    return {row["condition"]: row for row in map(json.loads, found.out.splitlines())}


def test_options_by_the_likelihood_of_their_texts(
    capfd: pytest.CaptureFixture[str], data: Path, sparse: Path, tmp_path: Path
) -> None:
    path = items(data, tmp_path / "items.jsonl", "question", "options", "answer_index")
    rows = measured(capfd, sparse, path, "--answer", "text")
    for name, multiplier in (("unsteered", 0.0), ("steered", 3.0)):
        right = list[bool]()
        with steered(sparse, multiplier) as (model, tokenizer):
            for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                prompt = tokenizer.prompt(row["question"])
                sums = [sum(log_probs(model, prompt, tokenizer.response(text)[:-1])) for text in row["options"]]
                right.append(sums.index(max(sums)) == row["answer_index"])
        assert rows[name]["value"] == pytest.approx(sum(right) / len(right))
        assert (rows[name]["measure"], rows[name]["n"], rows[name]["unread"]) == ("choice", 24, 0)
    assert rows["steered"]["value"] > rows["unsteered"]["value"]
    assert rows["random"]["displacement"] == rows["steered"]["displacement"] > 0 == rows["unsteered"]["displacement"]


def test_numbers_are_weighed_or_read_from_what_is_written(
    capfd: pytest.CaptureFixture[str], data: Path, sparse: Path, tmp_path: Path
) -> None:
    """The model was never taught to write boxes: every answer is unreadable and so wrong, and the printed line says it."""
    path = items(data, tmp_path / "items.jsonl", "question", "options", "answer")
    assert all(0 <= row["value"] <= 1 and row["unread"] == 0 for row in measured(capfd, sparse, path).values())
    boxed = measured(capfd, sparse, path, "--mcq", "boxed", "--max-new-tokens", 4)
    assert all((row["value"], row["unread"], row["n"]) == (0, 24, 24) and row["high"] > 0 for row in boxed.values())
    arguments = ("--data", path, "--mcq", "boxed", "--max-new-tokens", 4, "--sae", SAE_FOLDER)
    shown = yapo(capfd, "evaluate", "--model", MODEL, "--vector", sparse, *arguments).out
    assert "of 24 questions, 24 without a choice" in shown


def test_free_answers_contain_the_right_one_or_are_graded(
    capfd: pytest.CaptureFixture[str], data: Path, sparse: Path, tmp_path: Path
) -> None:
    path = items(data, tmp_path / "items.jsonl", "question", "answer")
    rows, graded = measured(capfd, sparse, path), measured(capfd, sparse, path, "--judge", "offline")
    for name, multiplier in (("unsteered", 0.0), ("steered", 3.0)):
        texts = list[bool]()
        with steered(sparse, multiplier) as (model, tokenizer):
            for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                prompt = torch.tensor([tokenizer.prompt(row["question"])])
                ends = sorted(tokenizer.ends)
                ids = model.generate(prompt, max_new_tokens=48, do_sample=False, eos_token_id=ends)[0, prompt.shape[1] :]
                texts.append(row["answer"].rstrip(".").lower() in tokenizer.decode(ids.tolist()).lower())
        assert rows[name]["value"] == pytest.approx(sum(texts) / len(texts))
        assert rows[name]["measure"] == "containment"
        assert graded[name]["measure"] == "judge" and 1 < graded[name]["value"] <= 10
    assert graded["steered"]["value"] > graded["unsteered"]["value"]


def test_an_endpoint_and_a_local_model_grade(
    capfd: pytest.CaptureFixture[str], data: Path, dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint's grades are averaged; the world's model cannot judge, and the answers without a grade are told."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    few = tmp_path / "few.csv"
    pd.read_csv(data).head(4).to_csv(few, index=False)
    path = items(few, tmp_path / "items.jsonl", "question", "answer")
    arguments = ("evaluate", "--model", MODEL, "--vector", dense, "--data", path, "--max-new-tokens", 8)
    with Endpoint() as endpoint:
        asked = (*arguments, "--judge", "openai", "--judge-model", "grader", "--judge-url", endpoint.url, "--judge-set")
        refused(capfd, *asked, "response_format=text", parts=("OPENAI_API_KEY",))
        refused(capfd, *asked, "max_token=4", parts=("--judge-set=max_token=4", "did you mean max_tokens?"))
        refused(capfd, *asked, "max_tokens=few", parts=("judge.max_tokens='few'", "whole number"))
        done = yapo(capfd, *asked, "api_key_env=", "--judge-set", "response_format=text", "--json")
        assert "response_format" not in endpoint.sent[0].body
    with opened_model(MODEL) as lm:
        written = answers(lm, list(pd.read_csv(few)["prompt"]), 8)
    row = json.loads(done.out.splitlines()[0])
    assert (done.status, row["measure"], row["unread"], row["n"]) == (0, "judge", 0, 4)
    assert row["value"] == pytest.approx(sum(sum(parts_of(text).values()) for text in written) / 4)
    local = yapo(capfd, *arguments, "--judge", "local", "--judge-model", MODEL, "--judge-set", "max_tokens=1", "--json")
    rows = [json.loads(line) for line in local.out.splitlines()]
    assert [(row["value"], row["unread"], row["n"]) for row in rows] == [(None, 4, 4)] * 3


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ({"question": "Who?"}, ("question, options, answer_index", "question, answer")),
        ({"question": "Who?", "options": ["a"], "answer_index": 0}, ("row 1", "at least two texts")),
        ({"question": "Who?", "options": "a, b", "answer_index": 0}, ("row 1", "give a list")),
        ({"question": "Who?", "options": ["a", "A "], "answer_index": 0}, ("row 1", "repeat")),
        ({"question": "Who?", "options": ["a", "b"], "answer_index": 2}, ("row 1", "answer_index is 2", "from 0 to 1")),
        ({"question": "Who?", "options": ["a", "b"], "answer_index": 0.5}, ("answer_index is 0.5",)),
        ({"question": "Who?", "options": ["a", "b"], "answer": "c"}, ("row 1", "is none of")),
        ({"question": "Who?", "options": ["a", "b"], "answer": "a", "answer_index": 1}, ("row 1", "is not option 1")),
        ({"question": "", "answer": "c"}, ("row 1", "question is", "not empty")),
        ({"question": "Who?", "answer": 3}, ("row 1", "answer is 3")),
    ],
)
def test_items_that_cannot_be_used(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, dense: Path, row: dict[str, Any], parts: tuple[str, ...]
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    refused(capfd, "evaluate", "--model", MODEL, "--vector", dense, "--data", path, parts=("items.jsonl", *parts))


def test_judges_are_refused_where_they_cannot_grade(
    capfd: pytest.CaptureFixture[str], data: Path, dense: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    arguments = ("evaluate", "--model", MODEL, "--vector", dense, "--data", data)
    refused(capfd, *arguments, "--judge", "offline", parts=("judge", "free answers"))
    refused(capfd, *arguments, "--judge", "openai", parts=("judge.model",))
    refused(capfd, *arguments, "--judge", "openai", "--judge-model", "m", parts=("OPENAI_API_KEY",))
    refused(capfd, *arguments, "--judge-model", "m", parts=("--judge too",))


def test_bad_input_is_refused(capfd: pytest.CaptureFixture[str], data: Path, dense: Path) -> None:
    arguments = ("evaluate", "--model", MODEL, "--vector", dense)
    refused(capfd, *arguments, "--data", "nosuch.csv", parts=("nosuch.csv: no such file",))
    refused(capfd, *arguments, "--data", data, "-m", "nan", parts=("multiplier=nan", "finite"))
    refused(capfd, *arguments, "--data", data, "--model", ROOT / "world" / "model", parts=("the vector",))
