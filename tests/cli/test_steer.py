"""``yapo steer``: answers beside each other, of prompts from anywhere, under one vector or several."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import yapo as package
from tests.api.conftest import MODEL, SAE_FOLDER
from tests.cli.command import refused, yapo

PROMPTS = ["Would you run an insurance company if it earned you four million euros?", "Would you like to own a gas field?"]


def library_answers(vectors: list[Path], multipliers: list[float], prompts: list[str]) -> list[str]:
    """Answers by the library's own loading and generation, one prompt at a time."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(MODEL), AutoTokenizer.from_pretrained(MODEL)
    found = []
    for prompt in prompts:
        chat = [{"role": "user", "content": prompt}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with package.steer(model, [package.load_vector(path) for path in vectors], multipliers, sae=SAE_FOLDER):
            out = model.generate(**ids, max_new_tokens=24, do_sample=False)
        found.append(tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip())
    return found


def test_unsteered_beside_steered_under_two_vectors(capfd: pytest.CaptureFixture[str], dense: Path, sparse: Path) -> None:
    vectors = ("--vector", sparse, "--vector", dense, "-m", 2, "-m", 0.5, "--sae", SAE_FOLDER)
    done = yapo(capfd, "steer", "--model", MODEL, *vectors, "--max-new-tokens", 24, "--json", *PROMPTS)
    assert (done.status, done.err) == (0, "")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["prompt"] for row in rows] == PROMPTS
    assert [row["unsteered"] for row in rows] == library_answers([sparse, dense], [0, 0], PROMPTS)
    assert [row["steered"] for row in rows] == library_answers([sparse, dense], [2, 0.5], PROMPTS)
    assert rows[0]["steered"] != rows[0]["unsteered"]
    assert (rows[0]["vectors"], rows[0]["multipliers"]) == ([str(sparse), str(dense)], [2, 0.5])


@pytest.mark.parametrize("source", ["a file", "standard input"])
def test_prompts_by_lines(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dense: Path, source: str
) -> None:
    text = "\n".join(["", *PROMPTS, ""])
    (tmp_path / "prompts.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    given = ("--file", tmp_path / "prompts.txt") if source == "a file" else ()
    done = yapo(capfd, "steer", "--model", MODEL, "--vector", dense, "-m", 0, "--max-new-tokens", 4, *given)
    assert done.err.startswith("WARNING: steering changed no answer; ") and done.err.count("\n") == 1
    assert [line for line in done.out.splitlines() if line.startswith("> ")] == [f"> {prompt}" for prompt in PROMPTS]
    assert done.out.count("unsteered:\n") == done.out.count("x dense.safetensors:\n") == 2


def test_the_autoencoder_is_found_from_another_folder(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sparse: Path
) -> None:
    """By its digest beside the vector, whatever the header calls it; a vector alone is told to name it."""
    vector = package.load_vector(sparse)
    info = vector.info
    header = {**vars(info), "sae": "made/elsewhere"}
    moved = tmp_path / "moved"
    moved.mkdir()
    package.SteeringVector(vector.values, type(info)(**header)).save(moved / "v.safetensors")
    monkeypatch.chdir(tmp_path)
    arguments = ("steer", "--model", MODEL, "--vector", moved / "v.safetensors", "--max-new-tokens", 4, PROMPTS[0])
    refused(capfd, *arguments, parts=("made/elsewhere/cfg.json: no such file", "give sae="))
    (moved / "autoencoder").symlink_to(SAE_FOLDER)
    assert yapo(capfd, *arguments).status == 0
    (moved / "autoencoder").unlink()
    assert yapo(capfd, *arguments).status == 0  # where it was seen before


def test_another_model_is_refused_by_its_digest(capfd: pytest.CaptureFixture[str], tmp_path: Path, dense: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    with torch.no_grad():
        model.model.norm.weight += 1
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(tmp_path)
    line = refused(capfd, "steer", "--model", tmp_path, "--vector", dense, "hello", parts=("other weights", "load the weights"))
    assert package.load_vector(dense).info.model_digest in line


BAD: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "no prompt": ((" ",), ("no prompt in the arguments", "standard input")),
    "both": (("hello", "--file", "prompts.txt"), ("--file=prompts.txt", "leave one of them out")),
    "a file that is not there": (("--file", "nosuch.txt"), ("--file=nosuch.txt", "No such file")),
    "three numbers": (("hello", "-m", 1, "-m", 2, "-m", 3), ("--multiplier: 3 numbers for 1 vectors",)),
    "no number": (("hello", "-m", "x"), ("-m", "see yapo steer --help")),
    "infinite": (("hello", "-m", "inf"), ("multiplier=inf", "finite")),
    "a vector that is not there": (("hello", "--vector", "nosuch.safetensors"), ("nosuch.safetensors: no such file",)),
    "no UTF-8": (("caf\udce9",), ("prompt 'caf?': not UTF-8",)),
    "no device": (("hello", "--device", "quantum"), ("device=quantum: there is none here", "cpu")),
    "a device without numbers": (("hello", "--device", "meta"), ("device=meta: there is none here", "cpu")),
    "a card too many": (("hello", "--device", "cuda:99"), ("device=cuda:99: there is none here", "cpu")),
    "no tokens": (("hello", "--max-new-tokens", 0), ("--max-new-tokens", "see yapo steer --help")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dense: Path, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, parts = BAD[case]
    refused(capfd, "steer", "--model", MODEL, "--vector", dense, *arguments, parts=parts)
