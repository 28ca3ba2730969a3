"""Trained vectors as the stage evaluate reads them: what fits the study, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from yapo.config import Config, DiscoveryConfig, SaeConfig
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import Residual
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.paths import Paths
from yapo.stages.evaluate import candidates_of, trained_vectors
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.vector import TrainedVector, VectorInfo

from ..steering.methods.test_dspa_map import block_output, make_map
from .test_inputs import write_sae

LAYER = 1


@pytest.fixture
def config(tmp_path: Path, sae: SAE) -> Config:
    """A study at layer 1 with autoencoders for layers 0 to 2."""
    for layer in range(3):
        write_sae(tmp_path / "sae" / f"layer_{layer}", sae, layer)
    return Config(
        results=str(tmp_path), methods=["caa", "dspa"], tasks=["mcq"], settings=["both"], discovery=DiscoveryConfig(layer=LAYER),
        sae=SaeConfig(path=str(tmp_path / "sae" / "layer_LAYER")),
    )  # fmt: skip


def write(config: Config, lm: LanguageModel, sae: SAE, header: dict[str, Any], **changes: Any) -> dict[str, Path]:
    """A vector by CAA and a map by DSPA for Egypt, as the stage train leaves them; ``header`` and ``changes`` are the map's."""
    paths = Paths.of(config)
    paths = {name: paths.trained("arabic", "egypt", name) / "mcq-both.safetensors" for name in config.methods}
    TrainedVector(torch.ones(2, 32), VectorInfo("caa", "dense", LAYER, "tiny", lm.digest)).save(paths["caa"])
    made = make_map(sae, sae, mode="both", **changes)
    info = replace(VectorInfo("dspa", "map", 2, "tiny", lm.digest, "out", sae.digest), **header)
    TrainedVector(torch.tensor([[0.3]]), info, made).save(paths["dspa"])
    return paths


def read(config: Config, lm: LanguageModel) -> dict[str, object]:
    trained = trained_vectors(config, Paths.of(config), "arabic")
    return {key[0]: candidate for key, candidate in candidates_of(config, trained, lm, LAYER).items()}


def test_a_map_stands_beside_vectors(config: Config, gemma: LanguageModel, sae: SAE) -> None:
    write(config, gemma, sae, {})
    trained = trained_vectors(config, Paths.of(config), "arabic")
    candidate = candidates_of(config, trained, gemma, LAYER)["dspa", "mcq", "both"]
    edit = candidate.intervention
    assert isinstance(edit, Conditional)
    assert (edit.reads, edit.layer, candidate.epochs.tolist()) == (0, 2, [[pytest.approx(0.3)]])
    chosen = trained["dspa", "mcq", "both"].chosen(1, 1.5)
    assert (chosen.info.multiplier, chosen.info.extra["epoch"]) == (1.5, 1)
    assert isinstance(chosen.payload, ConditionalMap) and chosen.payload.digest == edit.map.digest
    assert chosen.autoencoders == {0: "in", 2: "out"}


REFUSED = [
    ({"model_digest": "other"}, {}, "the vector dspa mcq-both: made for tiny .other. layer 2; train it for this model"),
    ({"layer": 1}, {}, "the vector dspa mcq-both: its map edits layer 2, but its header says 1; make it again; train it again"),
    ({}, {"sae_in_digest": "0"}, r"layer_0: another autoencoder .*the map was made with 64 features of in \(0\) at layer 0"),
    ({}, {"width_out": 128}, r"layer_2: 64 features, but the map was made with 128 features of out"),
    ({"layer": 3}, {"layer_out": 3}, "layer=3: tiny gemma2 has blocks 0..3; steer at 0..2"),
]


@pytest.mark.parametrize(("header", "changes", "message"), REFUSED)
def test_maps_made_for_something_else(
    config: Config, gemma: LanguageModel, sae: SAE, header: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    write(config, gemma, sae, header, **changes)
    with pytest.raises(YapoError, match=message):
        read(config, gemma)


def test_a_file_without_its_map(config: Config, gemma: LanguageModel, sae: SAE) -> None:
    paths = write(config, gemma, sae, {})
    TrainedVector(torch.tensor([[0.3]]), VectorInfo("dspa", "map", 2, "tiny", gemma.digest)).save(paths["dspa"])
    with pytest.raises(YapoError, match=r"mcq-both.safetensors: its header has no map, but space=map has a map; make it again"):
        read(config, gemma)


def test_an_edit_at_another_layer_counts_by_its_share(config: Config, gemma: LanguageModel, sae: SAE) -> None:
    write(config, gemma, sae, {})
    candidate = candidates_of(config, trained_vectors(config, Paths.of(config), "arabic"), gemma, LAYER)["dspa", "mcq", "both"]
    edit, u = candidate.intervention, torch.tensor([0.3])
    prompts = [[2, 20, 21, 22], [2, 30, 31, 32]]
    found = Residual.of(gemma, LAYER, prompts).displacement(Condition(edit, u))
    ids = torch.tensor(prompts)
    early, here, late = (block_output(gemma, ids, layer) for layer in (0, LAYER, 2))
    context, last = edit.context(early, ids, torch.ones_like(ids, dtype=torch.bool)), torch.zeros_like(ids, dtype=torch.bool)
    last[:, -1] = True
    moved = float(edit.changes(late, u, last, context).norm(dim=-1).mean())
    norms = [float(states[:, 1:].norm(dim=-1).mean()) for states in (here, late)]
    assert moved > 0
    assert found == pytest.approx(moved * norms[0] / norms[1], rel=1e-4)
