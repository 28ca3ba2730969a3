"""The method that takes vectors from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.refusals import refused
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.method import FitInputs
from yapo.steering.methods import get_method
from yapo.steering.portable import carry
from yapo.steering.vector import SteeringVector, VectorInfo

from .inputs import LAYER, NO_MODELS, SETS, fit, make_inputs
from .test_dspa import fit_inputs

PLACE = {"country": "egypt", "task": "mcq"}
V = torch.randn(32, generator=torch.Generator().manual_seed(1))
SPARSE = torch.randn(64, generator=torch.Generator().manual_seed(2)) * (torch.arange(64) % 3 == 0)


def inputs_of(lm: LanguageModel, sae: SAE, folder: Path, file: Path | str) -> FitInputs:
    inputs, _ = make_inputs(lm, sae, folder, "imported", options={"file": str(file)}, models=NO_MODELS)
    return replace(inputs, info=replace(inputs.info, extra=PLACE))


def header(lm: LanguageModel, **changes: Any) -> VectorInfo:
    return replace(VectorInfo("imported", "dense", LAYER, lm.source, lm.digest, multiplier=1.5), **changes)


def test_a_dense_vector_is_taken_as_it_is(lm: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    SteeringVector(V, header(lm, steer_bos=True)).save(tmp_path / "v.safetensors")
    inputs = inputs_of(lm, sae, tmp_path, tmp_path / "v.safetensors")
    for vector in get_method("imported").fit(inputs).values():
        assert torch.equal(vector.epochs, 1.5 * V[None])
        info = vector.info
        assert (info.method, info.space, info.steer_bos, info.sae, info.multiplier) == ("imported", "dense", True, "", 1.0)
        assert info.extra["country"] == "egypt"


@pytest.mark.parametrize("carried", [False, True])
def test_a_sparse_vector_of_the_same_autoencoder(gemma: LanguageModel, sae: SAE, tmp_path: Path, carried: bool) -> None:
    vector = SteeringVector(SPARSE, header(gemma, space="sparse", sae="x", sae_digest=sae.digest, threshold="jumprelu"))
    (carry(vector, sae) if carried else vector).save(tmp_path / "v.safetensors")
    (made, *_) = get_method("imported").fit(inputs_of(gemma, sae, tmp_path, tmp_path / "v.safetensors")).values()
    assert torch.equal(made.epochs, 1.5 * SPARSE[None])
    info = made.info
    assert (info.space, info.sae, info.sae_digest, info.threshold) == ("sparse", sae.source, sae.digest, "jumprelu")
    assert made.payload is None


def test_a_pattern_names_a_file_for_each_vector(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    for number, part in enumerate(SETS):
        SteeringVector(number * V, header(gemma, multiplier=1.0)).save(tmp_path / f"egypt/mcq-{part.name}.safetensors")
    pattern = tmp_path / "COUNTRY/TASK-SETTING.safetensors"
    found = fit(inputs_of(gemma, sae, tmp_path, pattern))
    for number, part in enumerate(SETS):
        assert torch.equal(found[part.name], number * V[None])


def test_what_is_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"

    def refuses(vector: SteeringVector, *parts: str) -> None:
        vector.save(path)
        refused(lambda: fit(inputs_of(gemma, sae, tmp_path, path)), "method.options.file=", *parts)

    refuses(SteeringVector(V, header(gemma, model="other", model_digest="abc")), "made for other (abc)", "tiny gemma2")
    refuses(SteeringVector(V, header(gemma, layer=2)), "steers layer 2", "set discovery.layer=2")
    refuses(SteeringVector(SPARSE, header(gemma, space="sparse", sae="x", sae_digest="other")), "needs the autoencoder x (other)")
    refused(lambda: fit(inputs_of(gemma, sae, tmp_path, tmp_path / "none.safetensors")), "none.safetensors", "no such file")
    refused(lambda: fit(inputs_of(gemma, sae, tmp_path, "")), "method.options.file: empty")
    SteeringVector(V[:-1], header(gemma)).save(path)
    refused(lambda: fit(inputs_of(gemma, sae, tmp_path, path)), "31 entries")
    SteeringVector(V, header(gemma)).save(path)
    nowhere = replace(inputs_of(gemma, sae, tmp_path, path), info=header(gemma))
    refused(lambda: fit(nowhere), "method=imported", "leave it out")


def test_a_prompt_dependent_vector_is_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    path, (inputs, _) = tmp_path / "v.safetensors", fit_inputs(gemma, sae, tmp_path)
    next(iter(get_method("dspa").fit(inputs).values())).chosen(1, 1.0).save(path)
    refused(lambda: fit(inputs_of(gemma, sae, tmp_path, path)), "depends on the prompt", "train dspa here")
