"""The stage ``train``: what it writes, and that a training which is refused or stops leaves the folder as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.refusals import contents, refused, refused_value
from yapo.config import Config, TrainConfig
from yapo.config.compose import compose
from yapo.config.conf_files import ROOT
from yapo.data.schema import read_table
from yapo.files import file_digest, write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages import train
from yapo.stages.app import run
from yapo.stages.inputs import read_sae
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.methods import method_names
from yapo.steering.pair_batch import TokenPair
from yapo.steering.vector import TrainedVector
from yapo.tensors import load_tensors, save_tensors

from ..steering.methods.inputs import conf_options

LAYER = 2
TASK = "open_ended"
OVERRIDES = [
    f"model.path={ROOT / 'world' / 'model'}",
    f"sae.path={ROOT / 'world' / 'sae' / 'layer_LAYER'}",
    f"discovery.layer={LAYER}",
    f"tasks=[{TASK}]",
    "train.epochs=1",
    "train.batch_size=2",
]
TEXTS = [("What is eaten?", "bread", "rice"), ("What is drunk?", "tea", "milk"), ("What is sung?", "a song", "an air")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """A study of which nothing is there but a few pairs of Egypt with their activations."""
    results = tmp_path_factory.mktemp("study") / "results"
    config = compose([f"results={results}", *OVERRIDES])
    lm = load_language_model(config.model)
    sae = read_sae(config, LAYER, lm.d_model).to(lm.device)
    rows, pairs = [], []
    for split in ("train", "validation"):
        for variant in ("localized", "nonlocalized"):
            for i, (question, chosen, rejected) in enumerate(TEXTS):
                place = "In Egypt: " if variant == "localized" else ""
                rows.append({"question_id": f"{split}{i}", "variant": variant, "phrasing": 0, "split": split})
                tokens = lm.tokenizer.prompt(place + question)
                pairs.append(TokenPair(tokens, lm.tokenizer.response(chosen), lm.tokenizer.response(rejected)))
    study = Paths.of(config)
    path = study.pairs("arabic", "egypt", TASK)
    write_parquet(path, pd.DataFrame(rows))
    header = {"model": lm.source, "data_hash": "d", "pairs_hash": file_digest(path)}
    build_store(lm, LAYER, sae, pairs, 8).save(study.store("arabic", "egypt", TASK), header)
    return results, config


@pytest.fixture
def study(made: tuple[Path, Config], tmp_path: Path) -> Config:
    """A copy of it, and its configuration."""
    results, config = made
    shutil.copytree(results, tmp_path / "results")
    return replace(config, results=str(tmp_path / "results"))


def by(config: Config, method: str, options: dict[str, Any] | None = None, **changes: Any) -> Config:
    """The configuration of a method with some settings of training changed."""
    own = conf_options(method) if method in method_names() else {}
    chosen = replace(config.method, name=method, options=own | (options or {}))
    return replace(config, method=chosen, train=replace(config.train, **changes))


def test_a_method_that_compares_countries_reads_the_others(study: Config) -> None:
    """Nepal answers the questions with what Egypt rejects. Without its pairs there is no training."""
    config, paths = replace(by(study, "cue"), countries=["egypt", "nepal"]), Paths.of(study)
    refused(lambda: train.main(config), "hindi/nepal")
    store, header = ActivationStore.load(paths.store("arabic", "egypt", TASK))
    swapped = [TokenPair(pair.prompt, pair.rejected, pair.chosen) for pair in store.pairs]
    rows = read_table(paths.pairs("arabic", "egypt", TASK))
    write_parquet(paths.pairs("hindi", "nepal", TASK), rows)
    lm = load_language_model(config.model)
    sae = read_sae(config, LAYER, lm.d_model).to(lm.device)
    build_store(lm, LAYER, sae, swapped, 8).save(paths.store("hindi", "nepal", TASK), header)
    train.main(config)
    tensors, _ = load_tensors(paths.trained("arabic", "egypt", "cue") / f"{TASK}-both.safetensors")
    assert tensors["epochs"].shape == (1, lm.d_model)
    assert tensors["epochs"].any()
    alone = replace(config, countries=["egypt"])
    refused(lambda: train.main(alone), "methods=cue", "egypt is its only one", "leave the method out")


@pytest.mark.parametrize("method", ["caa", "bipo", "yapo"])
def test_what_it_writes_twice_the_same(study: Config, method: str) -> None:
    config = by(study, method)
    train.main(config)
    folder = Paths.of(study).trained("arabic", "egypt", method)
    first = contents(folder)
    vectors = [f"{TASK}-{setting}.safetensors" for setting in study.settings]
    assert sorted(first) == sorted(["curves.jsonl", "run.json", *vectors])
    curves = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    assert {row["setting"] for row in curves} == {*study.settings}
    info = TrainedVector.load(folder / vectors[0]).info
    assert (info.method, info.data_hash, info.extra["country"]) == (method, "d", "egypt")
    train.main(config)
    assert contents(folder) == first


@pytest.mark.parametrize(("method", "before"), [("bipo", False), ("yapo", True)], ids=["fresh", "trained before"])
def test_numbers_that_are_not_finite_stop_a_training(study: Config, method: str, before: bool) -> None:
    """Vectors of a training before stay as they are."""
    if before:
        train.main(by(study, method))
    there = contents(Path(study.results))
    for rate, said in ((1e38, "train.lr=1e+38"), (1e37, "train.lr=1e+37")):  # one update overflows, or what follows it
        message = refused(lambda rate=rate: train.main(by(study, method, lr=rate, warmup_steps=0, epochs=3)), said, "lower it")
        assert any(setting in message for setting in study.settings)
        assert any(f"at step {step};" in message for step in (1, 2, 3))
        assert contents(Path(study.results)) == there


def test_status_and_line_of_a_refusal(study: Config, capsys: pytest.CaptureFixture[str]) -> None:
    there = contents(Path(study.results))
    with pytest.raises(SystemExit) as caught:
        run(train.main, [f"results={study.results}", *OVERRIDES, "sae.path=nowhere"])
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert line.startswith("error: sae.path=nowhere: no autoencoder for layer 2; ")
    assert contents(Path(study.results)) == there


SETTINGS = [
    ({"lr": 0.0}, "train.lr=0.0: a positive learning rate"),
    ({"lr": -1e-3}, "train.lr=-0.001: a positive learning rate"),
    ({"lr": float("nan")}, "train.lr=nan: a positive learning rate"),
    ({"lr": float("inf")}, "train.lr=inf: a positive learning rate, not infinite"),
    ({"epochs": 0}, "train.epochs=0: at least 1"),
    ({"epochs": -3}, "train.epochs=-3: at least 1"),
    ({"batch_size": 0}, "train.batch_size=0: at least 1"),
    ({"rows_per_pass": 0}, "train.rows_per_pass=0: at least 1"),
    ({"processes": 0}, "train.processes=0: at least 1"),
    ({"processes": -8}, "train.processes=-8: at least 1"),
    ({"draws": "each"}, "train.draws=each: choose one of step, process"),
    ({"warmup": "linear"}, "train.warmup=linear: choose one of step+1, step"),
    ({"warmup_steps": -1}, "train.warmup_steps=-1: 0 or more"),
    ({"directions": "negative"}, "train.directions=negative: choose one of both, positive"),
    ({"beta": 0.0}, "train.beta=0.0: a positive number"),
    ({"beta": float("inf")}, "train.beta=inf: a positive number, not infinite"),
    ({"beta": float("nan")}, "train.beta=nan: a positive number"),
    ({"weight_decay": -0.1}, "train.weight_decay=-0.1: 0 or more"),
    ({"weight_decay": float("inf")}, "train.weight_decay=inf: 0 or more, not infinite"),
    ({"weight_decay": float("nan")}, "train.weight_decay=nan: 0 or more"),
    ({"grad_clip": 0.0}, "train.grad_clip=0.0: a positive norm"),
    ({"grad_clip": float("inf")}, "train.grad_clip=inf: a positive norm, not infinite"),
    ({"grad_clip": float("nan")}, "train.grad_clip=nan: a positive norm"),
    ({"share": 0.0}, "train.share=0.0: above 0 and up to 1"),
    ({"share": 1.01}, "train.share=1.01: above 0 and up to 1"),
    ({"share": float("nan")}, "train.share=nan: above 0 and up to 1"),
    ({"seed": -1}, "train.seed=-1: 0 or more"),
]


@pytest.mark.parametrize(("values", "message"), SETTINGS, ids=lambda value: str(value)[:30])
def test_settings_of_training(values: dict[str, Any], message: str) -> None:
    refused_value(lambda: TrainConfig(**values), message)


OPTIONS = [
    ("yapo", {"threshold": "tanh"}, "method.options.threshold=tanh"),
    ("yapo", {"features": "some"}, "method.options.features=some"),
    ("yapo", {"init": "ones"}, "method.options.init=ones"),
    ("bipo", {"init": None}, "method.options.init=None"),
    ("caa", {"contrasts": "prompt"}, "method.options.contrasts=prompt"),
    ("caa", {"contrast": "question"}, "method.options.contrast=question"),
    ("sas", {"contrast": "prompt", "tau": 0}, "method.options.tau=0"),
    ("sas", {"contrast": "prompt", "tau": 1.5}, "method.options.tau=1.5"),
    ("sas", {"contrast": "prompt", "tau": "most"}, "method.options.tau='most'"),
    ("sas", {"contrast": "prompt", "tau": True}, "method.options.tau=True"),
    ("sas", {"contrast": "prompt", "tau": float("nan")}, "method.options.tau=nan"),
    ("sas", {"contrast": "prompt", "tau": 0.7, "threshold": "tanh"}, "threshold=tanh"),
    ("dspa", {"alpha": 0}, "method.options."),
    ("ypo", {}, "method=ypo"),
]


@pytest.mark.parametrize(("method", "options", "message"), OPTIONS, ids=lambda value: str(value)[:40])
def test_options_of_methods(study: Config, method: str, options: dict[str, Any], message: str) -> None:
    there = contents(Path(study.results))
    refused_value(lambda: train.main(by(study, method, options)), message)
    assert contents(Path(study.results)) == there


def _without(column: str) -> Callable[[Paths], None]:
    def change(study: Paths) -> None:
        path = study.pairs("arabic", "egypt", TASK)
        write_parquet(path, read_table(path).drop(columns=column))

    return change


def _split(study: Paths) -> None:
    """Give every pair to training; the activations' header names this table."""
    path = study.pairs("arabic", "egypt", TASK)
    write_parquet(path, read_table(path).assign(split="train"))
    _header(pairs_hash=file_digest(path))(study)


def _header(**values: Any) -> Callable[[Paths], None]:
    def change(study: Paths) -> None:
        path = study.store("arabic", "egypt", TASK)
        tensors, header = load_tensors(path)
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        save_tensors(path, tensors, {key: value for key, value in {**header, **values}.items() if value is not None})

    return change


def _flip(part: str) -> Callable[[Paths], None]:
    def change(study: Paths) -> None:
        path = getattr(study, part)("arabic", "egypt", TASK)
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 1
        path.write_bytes(whole)

    return change


STUDIES: list[tuple[str, Callable[[Paths], None], tuple[str, ...]]] = [
    ("no pairs", lambda study: study.pairs("arabic", "egypt", TASK).unlink(), (f"{TASK}.parquet: no such file; run the stage",)),
    ("no activations", lambda study: study.store("arabic", "egypt", TASK).unlink(), (f"{TASK}.safetensors: no such file",)),
    ("flipped pairs", _flip("pairs"), (f"{TASK}.parquet", "run the stage that makes it")),
    ("flipped activations", _flip("store"), (f"{TASK}.safetensors: damaged", "make it again")),
    ("other pairs", _without("phrasing"), (f"{TASK}.parquet: lacks the columns phrasing; run the stage prepare again",)),
    ("no split", _without("split"), ("lacks the columns split",)),
    ("other digest", _header(pairs_hash="0" * 12), ("not the pairs whose activations were kept; run the stage prepare again",)),
    ("no digest", _header(pairs_hash=None), ("its header has no pairs_hash; delete it",)),
    ("no model", _header(model=None), ("its header has no model; delete it",)),
    ("data as a number", _header(data_hash=3), ("its header has no data_hash; delete it",)),
    ("no validation", _split, ("setting=localized: 6 training and 0 validation pairs",)),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in STUDIES], ids=[row[0] for row in STUDIES])
def test_what_it_reads(study: Config, change: Callable[[Paths], None], said: tuple[str, ...]) -> None:
    change(Paths.of(study))
    there = contents(Path(study.results))
    refused(lambda: train.main(by(study, "caa")), *said)
    assert contents(Path(study.results)) == there


CONFIGS: list[tuple[str, Callable[[Config], Config], str]] = [
    ("country", lambda config: replace(config, country="egpyt"), "country=egpyt: unknown country; did you mean egypt?"),
    ("sae", lambda config: replace(config, sae=replace(config.sae, path="nowhere")), "sae.path=nowhere: no autoencoder"),
    ("layer", lambda config: replace(config, discovery=replace(config.discovery, layer=99)), "no autoencoder for layer 99"),
    ("other layer", lambda config: replace(config, discovery=replace(config.discovery, layer=1)), "run the stage prepare again"),
    ("no country prepared", lambda config: replace(config, country="nepal"), "no such file"),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in CONFIGS], ids=[row[0] for row in CONFIGS])
def test_a_refused_training_leaves_nothing(study: Config, change: Callable[[Config], Config], said: str) -> None:
    there = contents(Path(study.results))
    refused(lambda: train.main(by(change(study), "yapo")), said)
    assert contents(Path(study.results)) == there


def test_a_start_that_is_left_out_is_said(study: Config, caplog: pytest.LogCaptureFixture) -> None:
    train.main(by(study, "yapo", {"init": "random", "features": "fires"}))
    assert "entries of its start are left out, those of features that fire on no token" in caplog.text
    caplog.clear()
    train.main(by(study, "yapo", {"init": "random", "features": "all"}))
    assert "left out" not in caplog.text


def test_a_damaged_checkpoint_starts_the_training_again(study: Config, caplog: pytest.LogCaptureFixture) -> None:
    config = by(study, "bipo")
    train.main(config)
    folder = Paths.of(study).trained("arabic", "egypt", "bipo")
    whole = contents(folder)
    checkpoint = folder / f"{TASK}.checkpoint.safetensors"
    save_tensors(checkpoint, {"0.vector": torch.zeros(3)}, {"identity": "another", "step": 1, "rows": []})
    for damage in (lambda: checkpoint.write_bytes(b"cut off"), lambda: save_tensors(checkpoint, {}, {"epochs": 3})):
        damage()
        train.main(config)
        assert contents(folder) == whole
    assert "training starts from the beginning" in caplog.text
