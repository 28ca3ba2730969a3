"""A study that trains its own autoencoder, run up to its vectors."""

from __future__ import annotations

import json

import pytest

from yapo.models.sae import load_sae
from yapo.tensors import load_tensors

from .study import Study

SMALL = "tasks=[open_ended] settings=[nonlocalized] methods=[yapo] discovery.layer=1 discovery.countries=[nepal]"
TRAINED = (
    f"{SMALL} sae=train sae.train.width=256 sae.train.k=16 sae.train.steps=150 sae.train.warmup_steps=10"
    " sae.train.decay_steps=100 sae.train.batch_size=512 sae.train.lr=4e-3 sae.train.max_tokens=40000"
)
VECTOR = "results/smoke/hindi/nepal/train/yapo/open_ended-nonlocalized.safetensors"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = Study(tmp_path_factory.mktemp("own_sae") / "study", "countries=[nepal]")
    made.snakemake("--", VECTOR, config=(f"overrides={TRAINED}",))
    return made


def test_the_vector_is_in_the_features_of_the_studys_own_autoencoder(study: Study) -> None:
    sae = load_sae(study.root / "sae" / "layer_1")
    epochs, info = load_tensors(study.folder / VECTOR)
    assert epochs["epochs"].shape[-1] == sae.d_sae == 256
    assert (info["sae"], info["sae_digest"]) == ("results/smoke/sae/layer_1", sae.digest)
    quality = json.loads((study.root / "sae" / "layer_1" / "quality.json").read_text())
    assert quality["explained_variance"] > 0.6
    prepared = json.loads((study.root / "hindi" / "nepal" / "pairs" / "open_ended.json").read_text())
    assert prepared["autoencoder"]["explained_variance"] > 0.5


def test_what_is_made_again(study: Study) -> None:
    other = study.planned(config=(f"overrides={TRAINED} sae.train.seed=1",))
    assert (other["train_sae"], other["prepare"], other["train"]) == (1, 1, 1)
    free = study.planned(config=(f"overrides={TRAINED} discovery.layer=null discovery.candidates=[1,3]",))
    assert free["train_sae"] == 1  # layer 3; layer 1 is there
