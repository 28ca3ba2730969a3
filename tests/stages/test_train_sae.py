"""The stage that trains autoencoders, on the embedded model: what it writes, and what it may have read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.refusals import contents, refused
from yapo.config.compose import compose, plain
from yapo.config.conf_files import ROOT
from yapo.dag.reruns import result_inputs
from yapo.dag.scope import layers_to_read
from yapo.data.schema import read_table
from yapo.errors import YapoError
from yapo.files import write_parquet
from yapo.models.language_model import load_language_model
from yapo.models.sae import check_fits, load_sae
from yapo.models.sae_quality import measure
from yapo.models.sae_training import choose_texts
from yapo.paths import Paths
from yapo.stages import autoencoders, data, train_sae
from yapo.stages.inputs import read_sae

OWN = [
    "sae=train",
    f"model.path={ROOT / 'world' / 'model'}",
    "discovery.layer=1",
    "dspa.layer_in=1",
    "dspa.layer_out=1",
    "sae.train.width=64",
    "sae.train.k=8",
    "sae.train.steps=20",
    "sae.train.warmup_steps=2",
    "sae.train.decay_steps=10",
    "sae.train.batch_size=128",
    "sae.train.max_tokens=3000",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two countries whose data stage is done and whose autoencoder of layer 1 is trained."""
    folder = tmp_path_factory.mktemp("study") / "results"
    config = compose([f"results={folder}"])
    data.main(config)
    items = pd.read_parquet(Paths.of(config).items)
    write_parquet(Paths.of(config).items, items[items["country"].isin(["egypt", "nepal"])])
    train_sae.main(compose([f"results={folder}", *OWN]))
    return folder


def again(results: Path, folder: Path, change: str = "", split: str = "") -> dict[str, bytes]:
    """Files of the autoencoder of a copy of the study in which ``change`` was added to the questions of a split."""
    shutil.copytree(results / "embedded" / "data", folder / "embedded" / "data")
    config = compose([f"results={folder}", *OWN])
    paths = Paths.of(config)
    items = pd.read_parquet(paths.items)
    chosen = items["question_id"].map(pd.read_parquet(paths.split).set_index("question_id")["split"]) == split
    items.loc[chosen, "question"] += change
    write_parquet(paths.items, items)
    train_sae.main(config)
    return files(folder)


def files(results: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (results / "embedded" / "sae" / "layer_1").iterdir()}


def test_what_it_writes(results: Path) -> None:
    config = compose([f"results={results}", *OWN])
    folder = Paths.of(config).sae(1)
    assert sorted(files(results)) == ["cfg.json", "curves.jsonl", "quality.json", "sae_weights.safetensors"]
    sae = read_sae(config, 1, d_model=96)
    assert sae.source == str(folder)
    assert sae.d_sae == 64
    check_fits(load_sae(folder), 96, 1)
    curve = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    assert [row["step"] for row in curve] == list(range(1, 21))
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_which_layers_it_trains() -> None:
    """DSPA's layers and those of its study too, but one alone where a job asks for one."""
    wanted = ["sae=train", "discovery.layer=2", "dspa.layer_in=0", "dspa.layer_out=1", "studies.dspa_study.layers=[1,2]"]
    assert layers_to_read(compose(wanted)) == [2, 0, 1]
    assert layers_to_read(compose([*wanted, "dspa.layer_in=2", "dspa.layer_out=2", "studies.dspa_study.layers=[]"])) == [2]
    free = ["sae=train", "discovery.candidates=[1,2]", "dspa.layer_in=1", "dspa.layer_out=1", "studies.dspa_study.layers=[0]"]
    assert layers_to_read(compose(free)) == [1, 2, 0]


def test_quality_is_measured_on_the_validation_split(results: Path) -> None:
    config = compose([f"results={results}", *OWN])
    paths = Paths.of(config)
    quality = json.loads((paths.sae(1) / "quality.json").read_text())
    assert 2500 < quality["trained_on"]["tokens"] <= 3000
    assert quality["trained_on"]["passes"] == 20 * 128 / quality["trained_on"]["tokens"]
    assert 150 < quality["n_tokens"] <= 300
    lm = load_language_model(config.model)
    items = read_table(paths.items).merge(read_table(paths.split), on="question_id")
    texts = autoencoders.texts_of(config, lm.tokenizer, items[items["split"] == "validation"], "validation")
    with torch.no_grad():
        parts = [
            lm.model.model(input_ids=torch.tensor([text], device=lm.device), output_hidden_states=True).hidden_states[2][0, 1:]
            for text in choose_texts(texts, 300, seed=0)
        ]
    expected = measure(load_sae(paths.sae(1)), parts)
    assert quality["n_tokens"] == expected.n_tokens
    assert quality["explained_variance"] == pytest.approx(expected.explained_variance, abs=1e-4)
    assert quality["mean_l0"] == pytest.approx(expected.mean_l0, rel=1e-2)


@pytest.mark.slow
def test_the_same_study_gives_the_same_bytes(results: Path, tmp_path: Path) -> None:
    assert again(results, tmp_path) == files(results)


def test_a_training_whose_loss_is_not_finite_stops_and_leaves_nothing(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "embedded" / "data", tmp_path / "embedded" / "data")
    there = contents(tmp_path)
    refused(
        lambda: train_sae.main(compose([f"results={tmp_path}", *OWN, "sae.train.lr=1e30"])),
        "sae.train.lr=1e+30",
        "at step",
        "lower it",
    )
    assert contents(tmp_path) == there
    assert not Paths.of(compose([f"results={tmp_path}"])).sae(1).parent.exists()


@pytest.mark.slow
def test_it_is_trained_on_the_training_split_alone(results: Path, tmp_path: Path) -> None:
    """Other questions in another split change what is measured at most; other training questions change the weights."""
    before = files(results)
    after = again(results, tmp_path / "validation", " indeed?", "validation")
    assert all(after[name] == before[name] for name in ("sae_weights.safetensors", "cfg.json", "curves.jsonl"))
    measured = [json.loads(side["quality.json"])["explained_variance"] for side in (before, after)]
    assert measured[0] != measured[1]
    assert again(results, tmp_path / "train", " indeed?", "train")["sae_weights.safetensors"] != before["sae_weights.safetensors"]


def test_every_item_with_its_right_answer_for_every_task(results: Path) -> None:
    config = compose([f"results={results}", *OWN])
    tokenizer = load_language_model(config.model).tokenizer
    items = read_table(Paths.of(config).items).iloc[:3]
    texts = [tokenizer.tokenizer.decode(ids) for ids in autoencoders.texts_of(config, tokenizer, items, "train")]
    assert len(texts) == 6
    for text, item in zip(texts[:3], items.to_dict("records"), strict=True):
        assert item["question"] in text
        assert f"\\boxed{{{item['answer_index'] + 1}}}" in text
    for text, item in zip(texts[3:], items.to_dict("records"), strict=True):
        assert text.index(item["question"]) < text.index(item["answer"])


def test_long_prompts_are_left_out(results: Path) -> None:
    config = compose([f"results={results}", *OWN])
    tokenizer = load_language_model(config.model).tokenizer
    items = read_table(Paths.of(config).items).iloc[:20]
    lengths = [len(tokenizer.prompt(question)) for question in items["question"]]
    config = compose([*OWN, "tasks=[open_ended]", f"model.max_prompt_tokens={sorted(lengths)[9]}"])
    kept = autoencoders.texts_of(config, tokenizer, items, "train")
    assert len(kept) == sum(length <= sorted(lengths)[9] for length in lengths) < 20
    with pytest.raises(YapoError, match=r"^model.max_prompt_tokens=2: no train prompt is that short"):
        autoencoders.texts_of(compose([*OWN, "model.max_prompt_tokens=2"]), tokenizer, items, "train")


@pytest.mark.slow
def test_all_candidates_where_the_layer_is_not_fixed(results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(results / "embedded" / "data", tmp_path / "embedded" / "data")
    train_sae.main(compose([f"results={tmp_path}", *OWN, "discovery.layer=null", "discovery.candidates=[0,3]", "methods=[yapo]"]))
    for layer in (0, 3):
        assert load_sae(tmp_path / "embedded" / "sae" / f"layer_{layer}").layer == layer
    assert sum("explains too little" in record.message for record in caplog.records) == 2  # 20 steps are too few


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sae=train", "sae.path=mine"], "sae.path=mine: leave it and sae.release empty with sae.trained"),
        (["sae.train.width=64"], "sae.train=...: is read by sae=train only"),
        (["sae.path="], "sae.path=: give a path, or sae.release and sae.id, or choose sae=train"),
        (["sae=train", "sae.train.k=0"], "sae.train.k=0: at least 1"),
        (["sae=train", "sae.train.k=5000"], "sae.train.k=5000: at most sae.train.width=4096"),
        (["sae=train", "sae.train.lr=0"], "sae.train.lr=0.0: a positive learning rate"),
        (["sae=train", "sae.train.steps=50"], "sae.train.steps=50: warmup_steps and decay_steps take 3100 of them"),
        (["sae=train", "sae.train.max_tokens=7"], "sae.train.max_tokens=7: at least sae.train.batch_size=2048"),
        (["sae=train", "sae.train.seed=-1"], "sae.train.seed=-1: 0 or more"),
        (["sae=train", "sae.train.widht=3"], "no setting is called 'sae.train.widht'; did you mean sae.train.width?"),
    ],
)
def test_impossible_settings(overrides: list[str], message: str) -> None:
    with pytest.raises(YapoError) as caught:
        compose(overrides)
    assert message in str(caught.value)


def test_where_it_does_not_belong(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"sae.trained=False: .*choose sae=train"):
        train_sae.main(compose([f"results={tmp_path}"]))
    with pytest.raises(YapoError, match=r"sae/layer_1: no autoencoder yet; run `python -m yapo.stages.train_sae`"):
        read_sae(compose([f"results={tmp_path}", *OWN]), 1, 96)


def test_a_limit_on_its_quality_trains_nothing_again() -> None:
    before, other, limit = (plain(compose([*OWN, *more])) for more in ([], ["sae.train.k=7"], ["sae.min_explained_variance=0.1"]))
    assert (
        result_inputs("yapo.stages.train_sae", before)
        == result_inputs("yapo.stages.train_sae", limit)
        != result_inputs("yapo.stages.train_sae", other)
    )
    assert len({str(result_inputs("yapo.stages.prepare", config)) for config in (before, other, limit)}) == 3
