"""``yapo.train``: what each method makes of pairs, whatever form they come in, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

import yapo
from tests.api.conftest import MODEL, SAE_FOLDER
from tests.conftest import ROOT
from tests.refusals import contents, refused
from yapo.api.methods import OPTIONS, MethodName
from yapo.api.pairs import hold_out
from yapo.errors import YapoError
from yapo.models.checkpoint import weights_digest
from yapo.models.sae import load_sae
from yapo.steering.methods import get_method
from yapo.steering.training.checkpoint import LogRow

Pair = dict[str, Any]
FAST = {"epochs": 2, "lr": 1e-2}


@pytest.mark.parametrize("method", OPTIONS)
def test_settings_are_those_of_the_study(method: MethodName) -> None:
    """But for where differences are read: pairs have no form that names a country."""
    written = yaml.safe_load((ROOT / "conf" / "method" / f"{method}.yaml").read_text(encoding="utf-8"))["options"]
    assert OPTIONS[method] == written | ({"contrast": "answer"} if "contrast" in written else {})


@pytest.mark.parametrize("method", OPTIONS)
def test_the_header_says_what_a_vector_was_made_of(pairs: list[Pair], method: MethodName) -> None:
    space, width = ("sparse", 512) if get_method(method).space.of_features else ("dense", 96)
    sae = SAE_FOLDER if space == "sparse" else None
    if method in ("sas", "sas_output"):  # so many pairs share no feature that fires on one side only
        pairs = [{**pair, "chosen": "Yes, gladly.", "rejected": "No, I would not."} for pair in pairs]
    vector = yapo.train(MODEL, pairs, method, layer=2, sae=sae, seed=3, **FAST)
    info = vector.info
    assert (info.method, info.space, info.layer, tuple(vector.values.shape)) == (method, space, 2, (width,))
    assert (info.model, info.model_digest) == (str(MODEL), weights_digest(MODEL))
    assert info.sae_digest == ("" if sae is None else load_sae(sae).digest)
    assert info.data_hash and info.config_hash
    assert info.extra["pairs"] == {"train": 8, "validation": 2, "left_out": {}}
    assert info.extra["seed"] == 3
    assert info.extra["settings"].keys() == ({"method", "train"} if get_method(method).learns else {"method"})


def test_caa_is_the_mean_difference_where_the_answers_first_differ(frame: pd.DataFrame, pairs: list[Pair]) -> None:
    vector = yapo.train(MODEL, pairs, layer=1)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(MODEL), AutoTokenizer.from_pretrained(MODEL)

    def states(row: Pair) -> list[torch.Tensor]:
        sides = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[side]}], return_dict=False
            )
            for side in ("chosen", "rejected")
        ]
        place = next(i for i, (a, b) in enumerate(zip(*sides, strict=False)) if a != b)
        with torch.no_grad():
            runs = [model(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0, place] for ids in sides]
        return runs

    train, _ = hold_out(frame, 0.25, 0)
    found = [states(pairs[i]) for i in train]
    difference = torch.stack([a - b for a, b in found]).mean(dim=0)
    torch.testing.assert_close(vector.values, difference, rtol=1e-4, atol=1e-5)


def test_a_model_in_memory_gives_the_same_and_is_left_as_it_was(pairs: list[Pair]) -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL).train()
    vector = yapo.train(model, pairs, layer=2)
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    loaded = yapo.train(MODEL, pairs, layer=2)
    torch.testing.assert_close(vector.values, loaded.values, rtol=1e-4, atol=1e-5)
    assert vector.info.model_digest == loaded.info.model_digest


def test_every_form_of_pairs_gives_the_same_vector(tmp_path: Path, frame: pd.DataFrame, pairs: list[Pair]) -> None:
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    messages = [{name: [{"role": roles[name], "content": text}] for name, text in pair.items()} for pair in pairs]
    whole = [
        {side: [*message["prompt"], *message[side]] for side in ("chosen", "rejected")} for message in messages
    ]  # TRL's form without a prompt
    lines = tmp_path / "pairs.jsonl"
    lines.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    frame.to_parquet(tmp_path / "pairs.parquet")
    first = yapo.train(MODEL, pairs, layer=1)
    for other in (frame, messages, whole, lines, str(tmp_path / "pairs.csv"), tmp_path / "pairs.parquet"):
        made = yapo.train(MODEL, other, layer=1)
        assert torch.equal(made.values, first.values)
        assert made.info == first.info


def test_an_interrupted_training_goes_on_to_the_same_bytes(tmp_path: Path, pairs: list[Pair]) -> None:
    settings: dict[str, Any] = {"method": "bipo", "layer": 2, "epochs": 4, "lr": 1e-2}
    yapo.train(MODEL, pairs, **settings).save(tmp_path / "whole.safetensors")

    def stop(row: LogRow) -> None:
        if row["kind"] == "step" and row["epoch"] == 3:
            raise KeyboardInterrupt

    progress = tmp_path / "progress"
    with pytest.raises(KeyboardInterrupt):
        yapo.train(MODEL, pairs, **settings, checkpoint=progress, log=stop)
    rows = list[LogRow]()
    yapo.train(MODEL, pairs, **settings, checkpoint=progress, log=rows.append).save(tmp_path / "resumed.safetensors")
    assert (tmp_path / "resumed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert [row["steps"] for row in rows if row["kind"] == "start"] == [8]


def test_the_layer_is_that_of_the_autoencoder_or_the_one_with_the_largest_gain(pairs: list[Pair]) -> None:
    assert yapo.train(MODEL, pairs, "yapo", sae=SAE_FOLDER, **FAST).info.layer == 2
    found = yapo.train(MODEL, pairs)
    gains = {entry["layer"]: entry["gain"] for entry in found.info.extra["layers"]}
    assert list(gains) == [0, 1, 2, 3, 4]
    assert gains[found.info.layer] == max(gains.values())
    assert found.info.extra["gain"] == pytest.approx(gains[found.info.layer], rel=1e-4)


def test_the_epoch_is_the_one_with_the_lowest_validation_loss(pairs: list[Pair]) -> None:
    rows = list[LogRow]()
    vector = yapo.train(MODEL, pairs, "bipo", layer=2, epochs=6, lr=0.5, log=rows.append)
    losses = {row["epoch"]: row["validation_loss"] for row in rows if row["kind"] == "epoch"}
    assert losses[vector.info.extra["epoch"]] == min(losses.values()) == vector.info.extra["validation_loss"]


def test_raw_prompts_for_a_model_without_a_template(pairs: list[Pair]) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(MODEL), AutoTokenizer.from_pretrained(MODEL)
    tokenizer.chat_template = None
    refused(lambda: yapo.train(model, pairs, layer=1, tokenizer=tokenizer), "no chat template")
    vector = yapo.train(model, pairs, layer=1, tokenizer=tokenizer, plain=True)
    assert vector.info.extra["plain"] is True
    assert not torch.equal(vector.values, yapo.train(model, pairs, layer=1).values)


def test_rows_that_cannot_be_pairs_are_left_out_and_counted(pairs: list[Pair], caplog: pytest.LogCaptureFixture) -> None:
    same = {**pairs[0], "rejected": pairs[0]["chosen"]}
    vector = yapo.train(MODEL, [*pairs, same, {**pairs[1], "chosen": ""}], layer=1)
    assert vector.info.extra["pairs"]["left_out"] == {"empty": 1, "equal": 1}
    assert "2 of 12 rows are left out: empty 1, equal 1" in caplog.text
    assert torch.equal(vector.values, yapo.train(MODEL, pairs, layer=1).values)


def test_a_vector_that_hardly_moves_anything_is_told(pairs: list[Pair], caplog: pytest.LogCaptureFixture) -> None:
    yapo.train(MODEL, pairs, "bipo", layer=2, epochs=1, lr=1e-6)
    assert "raise lr or epochs" in caplog.text


def one_prompt(pairs: list[Pair]) -> list[Pair]:
    return [{**pair, "prompt": "Hello?"} for pair in pairs]


def prefixes(pairs: list[Pair]) -> list[Pair]:
    """Pairs whose rejected answer is the beginning of the chosen one."""
    return [{**pair, "chosen": "so", "rejected": "so so"} for pair in pairs]


BAD: dict[str, tuple[Callable[[list[Pair]], object], dict[str, Any], tuple[str, ...]]] = {
    "no difference": (
        lambda pairs: [{**pair, "rejected": pair["chosen"]} for pair in pairs],
        {},
        ("pairs: no usable row (equal 10)", "the last two different"),
    ),
    "few": (lambda pairs: pairs[:4], {}, ("pairs: 4 usable pairs", "give at least 5")),
    "none": (lambda _: [], {}, ("pairs: it is empty",)),
    "wrong columns": (
        lambda pairs: [{"prompt": p["prompt"], "good": p["chosen"], "bad": p["rejected"]} for p in pairs],
        {},
        ("pairs: no column chosen, rejected", "prompt, good, bad"),
    ),
    "no rows": (lambda _: 7, {}, ("pairs=7", "a list of dicts")),
    "a list of texts": (lambda _: ["a", "b"], {}, ("pairs, row 1: 'a' is no dict",)),
    "no such file": (lambda _: "nosuch.jsonl", {}, ("nosuch.jsonl: no such file",)),
    "no such parquet file": (lambda _: "nosuch.parquet", {}, ("nosuch.parquet: no such file",)),
    "another ending": (lambda _: "pairs.xlsx", {}, ("pairs.xlsx: must end in",)),
    "one prompt": (one_prompt, {}, ("all pairs have one prompt", "at least two")),
    "no place to read": (prefixes, {}, ("method=caa", "take bipo or yapo")),
    "an unknown method": (
        list,
        {"method": "dspa"},
        ("method=dspa", "caa, sas, sas_output, corrsteer, pca, lat, probe, bipo, yapo, dpo, reps, sft"),
    ),
    "a layer beyond": (list, {"layer": 5}, ("layer=5", "blocks 0..5; steer at 0..4")),
    "a layer in words": (list, {"layer": "two"}, ("layer='two'", "or auto")),
    "no autoencoder": (list, {"method": "sas"}, ("method=sas", "give sae=")),
    "an autoencoder too many": (list, {"sae": SAE_FOLDER}, ("method=caa reads no autoencoder",)),
    "an autoencoder of another layer": (
        list,
        {"method": "yapo", "sae": SAE_FOLDER, "layer": 1},
        ("made for layer 2, but layer 1 is steered",),
    ),
    "an autoencoder that explains less": (
        list,
        {"method": "yapo", "sae": SAE_FOLDER, "min_explained_variance": 0.99},
        ("less than min_explained_variance=0.99",),
    ),
    "a negative rate": (list, {"method": "bipo", "lr": -1.0}, ("lr=-1.0", "a positive learning rate")),
    "all held out": (list, {"validation": 1.0}, ("validation=1.0", "below 1")),
    "prompts too long": (list, {"max_prompt_tokens": 3}, ("max_prompt_tokens=3", "raise it")),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_work_is_refused_in_one_sentence(pairs: list[Pair], tmp_path: Path, case: str) -> None:
    change, settings, parts = BAD[case]
    with pytest.raises(YapoError) as caught:
        yapo.train(MODEL, change(pairs), **{"layer": 2, "checkpoint": tmp_path / "progress"} | settings)  # type: ignore[arg-type]
    line = str(caught.value)
    assert [part for part in parts if part not in line] == [], line
    assert "\n" not in line and "model.path" not in line and "train." not in line
    assert contents(tmp_path).keys() <= {"progress/activations/0.safetensors"}


def test_models_that_cannot_work(pairs: list[Pair], tmp_path: Path) -> None:
    refused(lambda: yapo.train(tmp_path / "nosuch", pairs), f"model={tmp_path}/nosuch: no such folder")
    refused(lambda: yapo.train(3, pairs), "model=int: not a transformers model")  # type: ignore[arg-type]
    nameless = AutoModelForCausalLM.from_pretrained(MODEL)
    nameless.config.name_or_path = ""
    refused(lambda: yapo.train(nameless, pairs, layer=1), "tokenizer=None: this model was not loaded from a folder")
