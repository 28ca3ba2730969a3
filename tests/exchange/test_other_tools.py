"""Exported files in the hands of the tools that they are for; `make interop` installs those, and absent ones are skipped."""

from __future__ import annotations

import ast
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma2ForCausalLM, PreTrainedModel

import yapo
from world.smollm2.fetch import default_folder
from yapo.exchange.export import export
from yapo.exchange.fidelity import neutral_prompts
from yapo.exchange.read import read
from yapo.models.checkpoint import weights_digest
from yapo.models.language_model import LanguageModel
from yapo.models.tokenizer import ChatTokenizer
from yapo.steering.vector import SteeringVector, VectorInfo

from .vectors import dense_vector, steered_everywhere

WORLD, NEW_TOKENS = Path("world/model"), 12


def vector_for(model: PreTrainedModel, folder: Path, layer: int, prompts: list[list[int]]) -> SteeringVector:
    """The difference of the mean states of two halves of the prompts: large enough to change what the model writes."""
    states = [
        model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[layer + 1][0].mean(dim=0) for ids in prompts
    ]
    values = torch.stack(states[::2]).mean(dim=0) - torch.stack(states[1::2]).mean(dim=0)
    info = VectorInfo("caa", "dense", layer, str(folder), weights_digest(folder), multiplier=2.0, steer_bos=True)
    return SteeringVector(values.detach(), info)


def greedy(model: PreTrainedModel, prompt: list[int]) -> list[int]:
    """Greedy continuation by transformers, not ended by any token."""
    whole = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=NEW_TOKENS,
        min_new_tokens=NEW_TOKENS,
        do_sample=False,
        eos_token_id=None,
    )
    return list(whole[0, len(prompt) :].tolist())


@pytest.fixture(params=["world", "smollm2"])
def case(request: pytest.FixtureRequest) -> tuple[PreTrainedModel, list[list[int]], SteeringVector]:
    """A model, prompts, and a vector for it: Gemma-2 as shipped here, and the Llama of SmolLM2."""
    folder, layer = (WORLD, 2) if request.param == "world" else (default_folder(), 15)
    if not folder.is_dir():
        pytest.skip("SmolLM2 is not here; make smollm2 gets it")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(folder))
    prompts = [tokenizer.prompt(text) for text in neutral_prompts()[: 4 if folder == WORLD else 2]]
    return model, prompts, vector_for(model, folder, layer, prompts)


@pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed; make interop builds it"
)
def test_llama_cpp_writes_the_same_greedy_tokens(
    case: tuple[PreTrainedModel, list[list[int]], SteeringVector], tmp_path: Path
) -> None:
    from .gguf_models import write_gguf_model
    from .llama_cpp_run import LlamaCpp

    model, prompts, vector = case
    write_gguf_model(model, tmp_path / "model.gguf")
    export(vector, tmp_path / "v.gguf", "gguf")
    with LlamaCpp(tmp_path / "model.gguf") as llama:
        unsteered = [llama.greedy(prompt, NEW_TOKENS) for prompt in prompts]
        llama.steer(tmp_path / "v.gguf")
        steered = [llama.greedy(prompt, NEW_TOKENS) for prompt in prompts]
    assert unsteered == [greedy(model, prompt) for prompt in prompts]
    with yapo.steer(model, vector):
        assert steered == [greedy(model, prompt) for prompt in prompts]
    assert sum(a != b for a, b in zip(unsteered, steered, strict=True)) >= len(prompts) // 2


def test_repeng_reads_and_writes_the_same_directions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(np, "float_", np.float64, raising=False)  # its annotations have a name that numpy 2 took away
    repeng = pytest.importorskip("repeng", reason="repeng is not installed; make interop installs it")
    info = VectorInfo("caa", "dense", 2, str(WORLD), weights_digest(WORLD), multiplier=0.5)
    values = torch.randn(96, generator=torch.Generator().manual_seed(2))
    export(SteeringVector(values, info), tmp_path / "ours.gguf", "gguf")
    theirs = repeng.ControlVector.import_gguf(tmp_path / "ours.gguf")
    assert theirs.model_type == "gemma2" and list(theirs.directions) == [2]
    assert torch.equal(torch.tensor(theirs.directions[2]), 0.5 * values)
    (2.0 * theirs).export_gguf(tmp_path / "theirs.gguf")
    assert torch.equal(read(tmp_path / "theirs.gguf", WORLD).values, values)


def test_lm_eval_steers_every_position(gemma: LanguageModel, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed; pip install 'yapo-pipeline[knowledge]'")
    from lm_eval.models.hf_steered import SteeredModel

    vector = dense_vector(steer_bos=True)
    export(vector, tmp_path / "v.pt", "lm-eval", allow_pickle=True)
    theirs = SteeredModel(pretrained=gemma.model, steer_path=str(tmp_path / "v.pt"), tokenizer=gemma.tokenizer.tokenizer)
    ids = torch.tensor([gemma.tokenizer.prompt("What do people eat?")])
    expected = steered_everywhere(gemma.model, vector.info.layer, 1.5 * vector.values, ids)
    torch.testing.assert_close(theirs._model_call(ids)[0], expected, rtol=1e-4, atol=1e-4)
    with yapo.steer(gemma.model, vector):
        torch.testing.assert_close(theirs.model(ids).logits[0], expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def wide_model(tmp_path: Path) -> Path:
    """A model as wide and as deep as Gemma-2-2B, with nothing else of its size."""
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=2304,
        intermediate_size=4,
        num_hidden_layers=26,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=2,
    )
    Gemma2ForCausalLM(config).save_pretrained(tmp_path / "wide")
    AutoTokenizer.from_pretrained(WORLD).save_pretrained(tmp_path / "wide")
    return tmp_path / "wide"


def test_the_vector_of_gemma_in_neuronpedias_package(wide_model: Path, tmp_path: Path) -> None:
    """Its example uploads this one with these values; layer 20's input is block 19's output."""
    found = importlib.util.find_spec("neuronpedia.sample_data") if importlib.util.find_spec("neuronpedia") else None
    if found is None or found.origin is None:
        pytest.skip("neuronpedia is not installed; make interop installs it")
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))  # its __init__ wants an API key
    vector = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "GEMMA2_2B_IT_DINOSAURS_VECTOR"
    )
    body = {"modelId": "gemma-2-2b-it", "layerNumber": 20, "hookType": "hook_resid_pre", "vector": vector}
    (tmp_path / "v.json").write_text(json.dumps(body | {"vectorDefaultSteerStrength": 44, "vectorLabel": "dinosaurs"}))
    read_back = read(tmp_path / "v.json", wide_model)
    assert read_back.info.layer == 19
    torch.testing.assert_close(read_back.values, 44 * torch.tensor(vector))


def test_neuronpedias_request_is_what_is_exported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The body that its client would send for the same vector, caught before it is sent."""
    monkeypatch.setenv("NEURONPEDIA_API_KEY", "none")
    pytest.importorskip("neuronpedia", reason="neuronpedia is not installed; make interop installs it")
    from neuronpedia.requests.vector_request import VectorRequest

    class NotSent(Exception):
        pass

    class Caught(VectorRequest):
        body: dict[str, object]

        def send_request(self, method: str, json: dict[str, object], uri: str) -> dict[str, object]:
            assert (method, uri) == ("POST", "new")
            self.body = json
            raise NotSent

    vector = replace(dense_vector(), info=replace(dense_vector().info, model="google/gemma-2-2b-it"))
    export(vector, tmp_path / "v.json", "neuronpedia")
    ours, caught = json.loads((tmp_path / "v.json").read_text()), Caught()
    with pytest.raises(NotSent):
        caught.new("v", "gemma-2-2b-it", 1, "hook_resid_post", (1.5 * vector.values).tolist(), 1.0)
    assert ours == caught.body
