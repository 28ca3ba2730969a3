"""``yapo evaluate``: accuracies against the library's own forward pass, with their intervals."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

import yapo as package
from tests.api.conftest import COLUMNS, MODEL, SAE_FOLDER
from tests.cli.command import refused, yapo
from tests.conftest import ROOT
from yapo.api.models import opened_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of the behaviour that no vector here was trained on."""
    path = tmp_path_factory.mktemp("data") / "test.csv"
    rows = pd.read_csv(ROOT / "world" / "behaviours" / "wealth_seeking" / "test.csv", nrows=24)
    rows.rename(columns=COLUMNS).to_csv(path, index=False)
    return path


def plain_accuracy(data: Path, vector: Path, multiplier: float) -> float:
    """Each answer by itself through the whole model, under ``yapo.steer``."""
    model, right = AutoModelForCausalLM.from_pretrained(MODEL), list[bool]()
    rows = pd.read_csv(data)
    with opened_model(MODEL) as lm, package.steer(model, package.load_vector(vector), multiplier, sae=SAE_FOLDER):
        for row in rows.itertuples():
            means = []
            for answer in (row.chosen, row.rejected):
                prompt, ids = lm.tokenizer.prompt(str(row.prompt)), lm.tokenizer.response(str(answer))
                with torch.no_grad():
                    logs = model(torch.tensor([prompt + ids])).logits[0].log_softmax(dim=-1)
                means.append(sum(float(logs[len(prompt) - 1 + i, token]) for i, token in enumerate(ids)) / len(ids))
            right.append(means[0] > means[1])
    return sum(right) / len(right)


def test_accuracies_are_those_of_the_library(capfd: pytest.CaptureFixture[str], data: Path, sparse: Path) -> None:
    arguments = ("evaluate", "--model", MODEL, "--vector", sparse, "--data", data, "-m", 3, "--sae", SAE_FOLDER)
    done = yapo(capfd, *arguments, "--json")
    assert (done.status, done.err) == (0, "")
    rows = {row["condition"]: row for row in map(json.loads, done.out.splitlines())}
    assert list(rows) == ["unsteered", "steered", "random"]
    assert rows["unsteered"]["accuracy"] == pytest.approx(plain_accuracy(data, sparse, 0.0))
    assert rows["steered"]["accuracy"] == pytest.approx(plain_accuracy(data, sparse, 3.0))
    assert rows["steered"]["accuracy"] > rows["unsteered"]["accuracy"]
    assert all(row["low"] <= row["accuracy"] <= row["high"] and row["n"] == 24 for row in rows.values())
    assert yapo(capfd, *arguments).out.startswith(f"unsteered  {100 * rows['unsteered']['accuracy']:5.1f} % [")


def test_bad_input_is_refused(capfd: pytest.CaptureFixture[str], data: Path, dense: Path) -> None:
    arguments = ("evaluate", "--model", MODEL, "--vector", dense)
    refused(capfd, *arguments, "--data", "nosuch.csv", parts=("nosuch.csv: no such file",))
    refused(capfd, *arguments, "--data", data, "-m", "nan", parts=("multiplier=nan", "finite"))
    refused(capfd, *arguments, "--data", data, "--model", ROOT / "world" / "model", parts=("the vector",))
