"""Damaged and foreign files: vectors and activation stores are refused in one sentence, checkpoints start the training again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import yapo
from tests.refusals import contents, refused, refused_value
from yapo.config import TrainConfig
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.paths import Paths
from yapo.steering.activations import ActivationStore, build_store
from yapo.steering.interventions import Dense
from yapo.steering.portable import carry
from yapo.steering.spaces import SAESlice
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.training.trainer import Trainer
from yapo.steering.vector import SteeringVector, TrainedVector, VectorInfo
from yapo.studies.transfer.left_out import left_out_path, read_left_out
from yapo.tensors import load_tensors, save_tensors, stream_tensors

from .methods.test_dspa_map import make_map
from .test_pair_batch import PAIRS

NAN, INF = float("nan"), float("inf")
INFO = VectorInfo("yapo", "sparse", 1, "a model", "0123456789ab", "an autoencoder", "ba9876543210")
Change = dict[str, Any]


def rewritten(path: Path, tensors: Change, header: Change) -> None:
    """Change a file's tensors and header (None removes), not finite numbers too."""
    held, described = load_tensors(path)
    held = {name: tensor.clone() for name, tensor in (held | tensors).items() if tensor is not None}
    described = {key: value for key, value in (described | header).items() if value is not ...}
    shapes = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in held.items()}
    stream_tensors(path, shapes, lambda name: [held[name]], described)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("vector") / "v.safetensors"
    SteeringVector(torch.linspace(-1, 1, 64), INFO).save(path)
    return path.read_bytes()


VECTORS: list[tuple[Change, Change, str]] = [
    ({"vector": torch.tensor([1.0, NAN])}, {}, "1 of 2 numbers of 'vector' are not finite"),
    ({"vector": torch.tensor([INF, -INF])}, {}, "2 of 2 numbers of 'vector' are not finite"),
    ({"vector": torch.zeros(2, 64)}, {}, "'vector' is float32 [2, 64], expected floats of shape [n]"),
    ({"vector": torch.zeros(0)}, {}, "'vector' is float32 [0]"),
    ({"vector": torch.tensor(1.0)}, {}, "'vector' is float32 []"),
    ({"vector": torch.arange(64)}, {}, "'vector' is int64 [64]"),
    ({"vector": None}, {}, "expected a tensor 'vector', found none"),
    ({"vector": None, "epochs": torch.zeros(1, 4)}, {}, "expected a tensor 'vector', found epochs"),
    ({"dense": torch.zeros(2, 2)}, {}, "'dense' is float32 [2, 2]"),
    ({"dense": torch.zeros(64), "second": torch.zeros(1)}, {}, "it holds second, which its header does not tell of"),
    ({"dense": torch.zeros(64)}, {"space": "dense"}, "it holds dense, which its header does not tell of"),
    ({"dense": torch.tensor([NAN])}, {}, "numbers of 'dense' are not finite"),
    ({}, {"multiplier": "2"}, "multiplier='2': must be a number"),
    ({}, {"multiplier": None}, "multiplier=None: must be a number"),
    ({}, {"multiplier": True}, "multiplier=True: must be a number"),
    ({}, {"multiplier": NAN}, "multiplier=nan: must be finite"),
    ({}, {"multiplier": 10**400}, "multiplier=100000000000000000...0000000000000000000: must be finite"),
    ({}, {"multiplier": INF}, "multiplier=inf: must be finite"),
    ({}, {"layer": "1"}, "layer='1': must be a whole number"),
    ({}, {"layer": 1.5}, "layer=1.5: must be a whole number"),
    ({}, {"layer": -1}, "layer=-1: layers count from 0"),
    ({}, {"layer": 10**400}, "layer=100000000000000000...0000000000000000000: layers count from 0; no model has 10000"),
    ({}, {"space": "x" * 5000}, "xxx ... xxx"),
    ({}, {"layer": ...}, "missing 1 required positional argument: 'layer'"),
    ({}, {"space": "curved"}, "space=curved"),
    ({}, {"space": ["sparse"]}, "space=['sparse']: must be a text"),
    ({}, {"method": "dspa", "space": "map"}, "its header has no map"),
    ({}, {"threshold": "tanh"}, "threshold=tanh: choose one of"),
    ({}, {"steer_bos": "yes"}, "steer_bos='yes': must be true or false"),
    ({}, {"steer_bos": 1}, "steer_bos=1: must be true or false"),
    ({}, {"extra": []}, "extra=[]: must be a JSON object"),
    ({}, {"model": None}, "model=None: must be a text"),
    ({}, {"sae_digest": 12}, "sae_digest=12: must be a text"),
    ({}, {"method": {}}, "method={}: must be a text"),
    ({}, {"speed": 3}, "its header has speed, but space=sparse has none"),
    ({}, {"map": {"pairs": 3}}, "its header has map, but space=sparse has none"),
    ({}, {"map": 3, "method": "dspa", "space": "map"}, "the map of its header is 3"),
    ({}, {"map": {}, "method": "dspa", "space": "map"}, "a part of its map is missing or foreign"),
]


@pytest.mark.parametrize(("tensors", "header", "said"), VECTORS, ids=[row[2][:50] for row in VECTORS])
def test_vector_files(tmp_path: Path, plain: bytes, tensors: Change, header: Change, said: str) -> None:
    path = tmp_path / "v.safetensors"
    path.write_bytes(plain)
    rewritten(path, tensors, header)
    refused(lambda: yapo.load_vector(path), str(path), said)


PORTABLE: list[tuple[Change, Change, str]] = [
    ({"W_enc": None}, {}, "lacks W_enc of the autoencoder"),
    ({"features": None, "b_dec": None}, {}, "lacks b_dec, features of the autoencoder"),
    ({"threshold": None}, {}, "expected a tensor 'threshold'"),
    ({"W_dec": torch.zeros(3, 32)}, {}, "'W_dec' is float32 [3, 32], expected floats of shape [4, 32]"),
    ({"b_enc": torch.zeros(5)}, {}, "'b_enc' is float32 [5], expected floats of shape [4]"),
    ({"b_enc": torch.tensor([0.0, NAN, 0, 0])}, {}, "1 of 4 numbers of 'b_enc' are not finite"),
    ({"vector": torch.zeros(5)}, {}, "expected floats of shape [32, 5]"),
    ({"dense": torch.zeros(3)}, {}, "'dense' is float32 [3], expected floats of shape [32]"),
    ({"W_gate": torch.zeros(3)}, {}, "it holds W_gate"),
    ({"features": torch.tensor([3, 2, 5, 9])}, {}, "its features are not 4 ascending numbers"),
    ({"features": torch.tensor([2, 2, 5, 9])}, {}, "its features are not 4 ascending numbers"),
    ({"features": torch.tensor([-1, 2, 5, 9])}, {}, "its features are not 4 ascending numbers"),
    ({"features": torch.tensor([1.0, 2, 5, 9])}, {}, "its features are not 4 ascending numbers"),
    ({}, {"carried": {"activation": "topk", "apply_b_dec_to_input": True}}, "must give activation (relu or jumprelu)"),
    ({}, {"carried": {"activation": "jumprelu"}}, "and apply_b_dec_to_input"),
    ({}, {"carried": "yes"}, "carried='yes'"),
    ({}, {"space": "dense"}, "its header has carried, but space=dense has none"),
]


@pytest.mark.parametrize(("tensors", "header", "said"), PORTABLE, ids=[row[2][:50] for row in PORTABLE])
def test_portable_files(tmp_path: Path, sae: SAE, tensors: Change, header: Change, said: str) -> None:
    path = tmp_path / "v.safetensors"
    values = torch.zeros(64).index_fill(0, torch.tensor([2, 3, 5, 9]), 0.5)
    carry(SteeringVector(values, replace(INFO, sae_digest=sae.digest)), sae).save(path)
    assert isinstance(yapo.load_vector(path).payload, SAESlice)
    rewritten(path, tensors, header)
    refused(lambda: yapo.load_vector(path), str(path), said)


TRAINED: list[tuple[Change, Change, str]] = [
    ({"epochs": torch.tensor([[0.0, NAN]])}, {}, "numbers of 'epochs' are not finite"),
    ({"epochs": torch.zeros(4)}, {}, "'epochs' is float32 [4], expected floats of shape [n, n]"),
    ({"epochs": torch.zeros(0, 4)}, {}, "'epochs' is float32 [0, 4]"),
    ({"epochs": None, "vector": torch.zeros(4)}, {}, "expected a tensor 'epochs', found vector"),
    ({}, {"layer": None}, "layer=None: must be a whole number"),
]


@pytest.mark.parametrize(("tensors", "header", "said"), TRAINED, ids=[row[2][:50] for row in TRAINED])
def test_vectors_after_every_epoch(tmp_path: Path, tensors: Change, header: Change, said: str) -> None:
    path = tmp_path / "v.safetensors"
    TrainedVector(torch.zeros(2, 4), INFO).save(path)
    rewritten(path, tensors, header)
    refused(lambda: TrainedVector.load(path), str(path), said)


def test_a_strength_of_a_map_is_one_number(tmp_path: Path, sae: SAE) -> None:
    path = tmp_path / "v.safetensors"
    SteeringVector(torch.tensor([0.2]), replace(INFO, method="dspa", space="map"), make_map(sae, sae)).save(path)
    rewritten(path, {"vector": torch.tensor([0.2, 0.3])}, {})
    refused(lambda: yapo.load_vector(path), "'vector' is float32 [2], expected floats of shape [1]")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (torch.ones(4, device="meta"), "'vector' is torch.float32 of shape (4,), device meta; give a dense tensor in memory"),
        (torch.ones(4).to_sparse(), "'vector' is torch.float32 of shape (4,), torch.sparse_coo"),
        (torch.ones(4, dtype=torch.complex64), "'vector' is torch.complex64"),
        (torch.ones(4).to(torch.float8_e4m3fn), "'vector' is torch.float8_e4m3fn"),
        ([1.0], "'vector' is list"),
        (None, "'vector' is NoneType"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_values_that_no_file_holds(tmp_path: Path, values: Any, said: str) -> None:
    path = tmp_path / "v.safetensors"
    refused(lambda: SteeringVector(values, INFO).save(path), str(path), said)
    assert not path.exists()


@pytest.mark.parametrize("name", ["vector", "trained", "left out"])
def test_numbers_that_are_not_finite_are_not_saved(tmp_path: Path, name: str) -> None:
    """The file that stood there before stays."""
    path, wrong = tmp_path / "v.safetensors", torch.tensor([1.0, NAN])
    save: dict[str, Callable[[], None]] = {
        "vector": lambda: SteeringVector(wrong, INFO).save(path),
        "trained": lambda: TrainedVector(wrong[None], INFO).save(path),
        "left out": lambda: save_tensors(path, {"egypt/mcq": wrong[None]}, {}),
    }
    path.write_bytes(b"before")
    there = contents(tmp_path)
    refused(save[name], str(path), "1 of 2 numbers", "are not finite")
    assert contents(tmp_path) == there


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({}, "does not describe the vector egypt/mcq; run the stage"),
        ({"vectors": []}, "does not describe the vector"),
        ({"vectors": {"egypt/mcq": 3}}, "does not describe the vector"),
        ({"vectors": {"egypt/mcq": {**asdict(INFO), "layer": 0.5}}}, "layer=0.5: must be a whole number"),
    ],
)
def test_vectors_of_all_countries_but_one(tmp_path: Path, header: Change, said: str) -> None:
    paths = Paths(tmp_path)
    save_tensors(left_out_path(paths, "arabic", "caa"), {"egypt/mcq": torch.zeros(1, 4)}, header)
    refused(lambda: read_left_out(paths, "arabic", "caa", "egypt", "mcq"), "caa.safetensors", said)


@pytest.fixture(scope="module")
def store(gemma: LanguageModel, sae: SAE) -> ActivationStore:
    return build_store(gemma, 1, sae, PAIRS, 4)


def _changed(name: str, change: Callable[[Tensor], Tensor | None]) -> Callable[[dict[str, Tensor]], Change]:
    return lambda held: {name: change(held[name])}


STORES: list[tuple[Callable[[dict[str, Tensor]], Change], Change, str]] = [
    (_changed("hidden", lambda _: None), {}, "it lacks hidden"),
    (_changed("code_ids", lambda _: None), {}, "it lacks code_ids"),
    (_changed("reference", lambda _: None), {}, "it lacks reference"),
    (lambda _held: {}, {"store": ...}, "it lacks store"),
    (_changed("hidden", lambda held: held[:-1]), {}, "states, codes and tokens do not fit"),
    (_changed("hidden", lambda held: held.reshape(-1)), {}, "'hidden' is torch.float32 with 1 dimensions"),
    (_changed("code_values", lambda held: held[1:]), {}, "states, codes and tokens do not fit"),
    (_changed("code_ids", lambda held: held[1:]), {}, "states, codes and tokens do not fit"),
    (_changed("code_ids", lambda held: held.float()), {}, "'code_ids' is torch.float32"),
    (_changed("code_counts", lambda held: held[1:]), {}, "states, codes and tokens do not fit"),
    (_changed("code_counts", lambda held: torch.cat([held[:1] + held[1] + 1, -torch.ones(1), held[2:]]).int()), {}, "do not fit"),
    (_changed("ids", lambda held: held[1:]), {}, "token ids do not give 4 pairs"),
    (_changed("lengths", lambda held: held[:, :2]), {}, "token ids do not give 4 pairs"),
    (_changed("lengths", lambda held: held[:0]), {}, "token ids do not give 0 pairs"),
    (_changed("lengths", lambda held: -held), {}, "token ids do not give 4 pairs"),
    (_changed("reference", lambda held: held[1:]), {}, "'reference' is not two finite numbers a pair"),
    (_changed("reference", lambda held: held * NAN), {}, "'reference' is not two finite numbers a pair"),
    (lambda _held: {}, {"store": {}}, "missing 5 required positional arguments"),
    (lambda _held: {}, {"store": "a key"}, "damaged"),
    (lambda _held: {}, {"store": dict.fromkeys(("model", "dtype", "layer", "sae", "pairs"), "x")}, "its key is"),
]


@pytest.mark.parametrize(("change", "header", "said"), STORES, ids=[f"{i} {row[2][:40]}" for i, row in enumerate(STORES)])
def test_activation_stores(
    tmp_path: Path, store: ActivationStore, change: Callable[[dict[str, Tensor]], Change], header: Change, said: str
) -> None:
    path = tmp_path / "store.safetensors"
    store.save(path, {})
    rewritten(path, change(load_tensors(path)[0]), header)
    refused(lambda: ActivationStore.load(path), str(path), said, "run the stage prepare again")


@pytest.mark.parametrize("damage", [b"", b"cut off", b"\x08" + b"\0" * 7 + b"{}      "], ids=["empty", "text", "no header"])
def test_files_that_are_no_tensors(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(damage)
    for load in (yapo.load_vector, TrainedVector.load, ActivationStore.load):
        refused(lambda load=load: load(path), str(path))


def test_a_tensor_twice_in_the_table(tmp_path: Path, plain: bytes) -> None:
    path = tmp_path / "v.safetensors"
    table = plain[8 : 8 + int.from_bytes(plain[:8], "little")]
    entry = table[table.index(b'"vector"') : table.rindex(b"}")]
    again = table[: table.rindex(b"}")] + b"," + entry + b"}"
    path.write_bytes(len(again).to_bytes(8, "little") + again + plain[8 + len(table) :])
    refused(lambda: yapo.load_vector(path), str(path), "it names 'vector' twice")


def test_a_model_that_computes_no_numbers_is_refused(gemma: LanguageModel, sae: SAE) -> None:
    broken = replace(sae, source="broken")
    weight = gemma.model.model.layers[2].mlp.down_proj.weight
    kept = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.fill_(NAN)
        refused(lambda: build_store(gemma, 1, broken, PAIRS, 4), gemma.source, "not finite", "model.dtype=float32")
    finally:
        with torch.no_grad():
            weight.copy_(kept)


CONFIG = TrainConfig(lr=0.05, epochs=2, batch_size=2, warmup_steps=2)
CHECKPOINTS: list[tuple[Change, Change]] = [
    ({"0.vector": None}, {}),
    ({"0.vector": torch.zeros(3)}, {}),
    ({"0.exp_avg": None}, {}),
    ({"0.exp_avg_sq": torch.zeros(31)}, {}),
    ({"0.step": torch.zeros(2)}, {}),
    ({"0.epochs": None}, {}),
    ({"0.epochs": torch.zeros(5, 32)}, {}),
    ({"1.vector": torch.zeros(32)}, {}),
    ({}, {"step": "2"}),
    ({}, {"step": -2}),
    ({}, {"step": ...}),
    ({}, {"rows": ...}),
    ({}, {"rows": 3}),
    ({}, {"rows": ["a row"]}),
    ({}, {"identity": ...}),
    ({}, {"identity": "another"}),
]


@pytest.fixture(scope="module")
def trained(gemma: LanguageModel, store: ActivationStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, bytes]:
    """A whole training's vectors, and the checkpoint that it left."""
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.safetensors"
    trainer = Trainer(gemma, 1, Dense(32), store, CONFIG)
    return trainer.train([TrainSet("both", [0, 1], [2])], lambda _row: None, path)["both"], path.read_bytes()


@pytest.mark.parametrize(("tensors", "header"), CHECKPOINTS, ids=lambda change: str(change)[:30])
def test_checkpoints_of_something_else_start_the_training_again(
    tmp_path: Path,
    gemma: LanguageModel,
    store: ActivationStore,
    trained: tuple[Tensor, bytes],
    tensors: Change,
    header: Change,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(trained[1])
    rewritten(path, tensors, header)
    rows: list[LogRow] = []
    again = Trainer(gemma, 1, Dense(32), store, CONFIG).train([TrainSet("both", [0, 1], [2])], rows.append, path)["both"]
    assert torch.equal(again, trained[0])
    assert [row["step"] for row in rows if row["kind"] == "step"] == [1, 2]
    assert f"{path}: " in caplog.text
    assert "training starts from the beginning" in caplog.text


def test_values_that_a_header_cannot_take() -> None:
    refused_value(lambda: replace(INFO, multiplier=NAN), "multiplier=nan: must be finite")
    refused_value(lambda: replace(INFO, layer=True), "layer=True: must be a whole number")
