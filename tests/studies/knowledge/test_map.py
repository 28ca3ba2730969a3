"""lm-eval on a model steered by a map: continuations are edited, contexts are read, with a chat template and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from lm_eval.api.instance import Instance
from torch import Tensor

from yapo.config import ModelConfig
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE, load_sae
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.vector import SteeringVector, VectorInfo
from yapo.studies.knowledge.steered_lm import SteeredLM

from ...hub_server import COMMIT, put_in_cache
from ...steering.methods.test_dspa_map import block_output, make_map, plain_edit, plain_sets

ROOT = Path(__file__).resolve().parents[3]
LAYERS = (1, 3)
QUESTIONS = ["What is a typical breakfast?", "I am from Nepal. Which dish is cooked for the evening meal, and by whom?", "Why?"]
ANSWERS = ["Fry-up with beans", "Tea", "Cereal"]


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return load_language_model(ModelConfig(path=str(ROOT / "world" / "model")), device="cpu")


@pytest.fixture(scope="module")
def saes() -> dict[int, SAE]:
    return {layer: load_sae(ROOT / "world" / "sae" / f"layer_{layer}") for layer in LAYERS}


def vector(tiny: LanguageModel, saes: dict[int, SAE]) -> SteeringVector:
    changes: dict[str, Any] = {
        "layer_in": 1,
        "layer_out": 3,
        "mode": "both",
        "k_prompt": 32,
        "k_diff": 200,
        "template": tiny.tokenizer.template,
    }
    made = make_map(saes[1], saes[3], **changes)
    header = VectorInfo("dspa", "map", 3, "tiny", tiny.digest, "out", saes[3].digest)
    return SteeringVector(torch.tensor([0.5]), header, made)


def plain_logits(tiny: LanguageModel, saes: dict[int, SAE], steering: SteeringVector, ids: list[int], context: int) -> Tensor:
    """One unpadded row, edited from the last token of its context on."""
    early = block_output(tiny, torch.tensor([ids]), 1)[0]
    content = tiny.tokenizer.template.content(torch.tensor([ids]))[0].tolist()
    assert isinstance(steering.payload, ConditionalMap)
    sets = plain_sets(steering.payload, saes[1], early[[t for t in range(context) if content[t]]])

    def edit(_module: object, _args: object, hidden: Tensor) -> Tensor:
        out = hidden.clone()
        for t in range(context - 1, len(ids)):
            out[0, t] = plain_edit(saes[3], hidden[0, t], *sets, 0.75)
        return out

    handle = tiny.model.model.layers[3].register_forward_hook(edit)
    logits: Tensor = tiny.model(input_ids=torch.tensor([ids])).logits[0]
    handle.remove()
    return logits


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("chat", [True, False])
@torch.no_grad()
def test_log_likelihoods_equal_one_plain_pass_each(
    tiny: LanguageModel, saes: dict[int, SAE], chat: bool, batch_size: int
) -> None:
    steering = vector(tiny, saes)
    model = SteeredLM(tiny, steering, multiplier=1.5, sae=saes, batch_size=batch_size)
    contexts = [model.apply_chat_template([{"role": "user", "content": q}]) if chat else f"Q: {q}\nA:" for q in QUESTIONS]
    pairs = [(context, answer if chat else " " + answer) for context in contexts for answer in ANSWERS]
    asked = [Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=i) for i, pair in enumerate(pairs)]
    moved = 0.0
    for (value, greedy), (context, answer) in zip(model.loglikelihood(asked, disable_tqdm=True), pairs, strict=True):
        before, after = model._encode_pair(context, answer)  # lm-eval's own division of a text
        ids = before + after
        log_probs = plain_logits(tiny, saes, steering, ids, len(before)).log_softmax(dim=-1)[len(before) - 1 : -1]
        plain = tiny.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(dim=-1)[len(before) - 1 : -1]
        targets = torch.tensor(after)
        assert value == pytest.approx(float(log_probs.gather(1, targets[:, None]).sum()), rel=1e-4, abs=1e-4)
        assert greedy == bool((log_probs.argmax(dim=-1) == targets).all())
        moved = max(moved, abs(value - float(plain.gather(1, targets[:, None]).sum())))
    assert moved > 0.01


def test_a_model_of_the_hub_is_steered_as_its_folder_is(
    tiny: LanguageModel, saes: dict[int, SAE], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    put_in_cache(tmp_path, "own/tiny", ROOT / "world" / "model")
    lm = load_language_model(ModelConfig(path="own/tiny"), device="cpu")
    asked = [Instance(request_type="loglikelihood", doc={}, arguments=(f"Q: {q}\nA:", " Tea"), idx=0) for q in QUESTIONS]
    values = [SteeredLM(each, vector(each, saes), sae=saes).loglikelihood(asked, disable_tqdm=True) for each in (lm, tiny)]
    assert lm.digest == COMMIT
    assert values[0] == values[1]


def test_sizes_that_lm_eval_tries_are_no_error(tiny: LanguageModel, saes: dict[int, SAE]) -> None:
    model = SteeredLM(tiny, vector(tiny, saes), sae=saes)
    assert model._answer_starts(torch.ones(2, 5, dtype=torch.long)).tolist() == [5, 5]
