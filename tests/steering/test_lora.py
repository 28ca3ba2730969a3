"""LoRA: TRL's losses against the equations as written, peft's files, and an adapter's way from the pairs to the tables' rows."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from transformers import PreTrainedModel

from tests.refusals import contents, refused, refused_value
from tests.stages.small_study import make
from tests.steering.methods.inputs import PAIRS
from yapo.checks import AdapterMethod
from yapo.config import AdaptersConfig, TrainConfig
from yapo.config.compose import compose
from yapo.dag.adapters import check_adapters
from yapo.files import read_json
from yapo.models.language_model import LanguageModel
from yapo.paths import Paths
from yapo.stages import prepare, train

INSTALLED = find_spec("peft") is not None and find_spec("trl") is not None
with_extra = pytest.mark.skipif(not INSTALLED, reason="peft or TRL is not installed; pip install 'yapo-pipeline[lora]'")
ADAPTERS = AdaptersConfig(rows=["lora_sft", "lora_dpo"], rank=2, alpha=3.0, lr=0.01)
TRAIN = TrainConfig(epochs=2, batch_size=4, warmup_steps=1, beta=0.3)
SCALE = ADAPTERS.alpha / ADAPTERS.rank


def own(lm: LanguageModel) -> LanguageModel:
    """The same model, to be changed."""
    return LanguageModel(deepcopy(lm.model), lm.tokenizer, lm.source, lm.digest)


def log_prob(model: PreTrainedModel, weights: dict[str, Tensor], prompt: list[int], answer: list[int]) -> Tensor:
    """Sum the log-probabilities of an answer, read alone, under other weights."""
    ids = torch.tensor([prompt + answer])
    logits: Tensor = functional_call(model, weights, (ids,)).logits[0, len(prompt) - 1 : -1].float()
    return logits.log_softmax(dim=-1)[range(len(answer)), answer].sum()


def plain_loss(kind: AdapterMethod, model: PreTrainedModel, weights: dict[str, Tensor]) -> Tensor:
    """The loss of the first minibatch as its equation says."""
    pairs = PAIRS[: TRAIN.batch_size]
    chosen = torch.stack([log_prob(model, weights, pair.prompt, pair.chosen) for pair in pairs])
    if kind == "lora_sft":
        return -chosen.sum() / sum(len(pair.chosen) for pair in pairs)
    rejected = torch.stack([log_prob(model, weights, pair.prompt, pair.rejected) for pair in pairs])
    reference = torch.stack(
        [log_prob(model, {}, pair.prompt, pair.chosen) - log_prob(model, {}, pair.prompt, pair.rejected) for pair in pairs]
    )
    return -torch.nn.functional.logsigmoid(TRAIN.beta * (chosen - rejected - reference)).mean()


@with_extra
@pytest.mark.parametrize("kind", ADAPTERS.rows)
def test_loss_and_gradient_are_those_of_the_equations(kind: AdapterMethod, lm: LanguageModel, tmp_path: Path) -> None:
    from yapo.steering.lora.train import make_trainer

    trainer = make_trainer(kind, own(lm), PAIRS[: TRAIN.batch_size], ADAPTERS, TRAIN, tmp_path)
    generator, factors = torch.Generator().manual_seed(0), dict[str, Tensor]()
    for name, weight in trainer.model.named_parameters():
        if weight.requires_grad:  # B is 0 at the start, where A has no gradient
            weight.data = torch.randn(weight.shape, generator=generator) * 0.1
            factors[name.removeprefix("base_model.model.")] = weight
    trainer.model.train()
    (batch,) = trainer.get_train_dataloader()
    count = None if kind == "lora_dpo" else (batch["labels"] != -100).sum()
    loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=count)
    loss.backward()

    model, leaves = lm.model, {name: weight.detach().clone().requires_grad_() for name, weight in factors.items()}
    weights = {}
    for name in leaves:
        if ".lora_A." in name:
            module, b = name.partition(".lora_A.")[0], name.replace(".lora_A.", ".lora_B.")
            weights[f"{module}.weight"] = model.get_parameter(f"{module}.weight") + SCALE * leaves[b] @ leaves[name]
    assert len(weights) == 7 * model.config.num_hidden_layers
    expected = plain_loss(kind, model, weights)
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss.detach(), expected.detach(), rtol=1e-5, atol=1e-6)
    for name, weight in factors.items():
        theirs, ours = weight.grad, leaves[name].grad
        assert theirs is not None and ours is not None and (theirs - ours).norm() <= 1e-4 * ours.norm() > 0, name


@with_extra
def test_an_adapter_is_peft_s_and_leaves_the_model_as_it_was(gemma: LanguageModel, tmp_path: Path) -> None:
    from peft import PeftModel

    from yapo.steering.lora.adapter import Adapter
    from yapo.steering.lora.train import keep_adapter, train_adapter

    for place in ("once", "twice"):
        train_adapter("lora_dpo", own(gemma), PAIRS, ADAPTERS, TRAIN, tmp_path / f"made {place}")
        for epoch in (1, 2):
            keep_adapter(tmp_path / f"made {place}" / f"epoch_{epoch}", tmp_path / place / str(epoch), gemma.source)
    assert contents(tmp_path / "once") == contents(tmp_path / "twice")
    first, last = (Adapter.load(tmp_path / "once" / epoch) for epoch in "12")
    assert any(not torch.equal(first.factors[name][1], last.factors[name][1]) for name in last.factors)

    last.save(tmp_path / "stronger", 2.5)
    ids, before = torch.tensor([PAIRS[0].prompt]), deepcopy(gemma.model.state_dict())
    untouched = gemma.model(ids).logits
    for folder, multiplier in ((tmp_path / "once" / "2", 1.0), (tmp_path / "stronger", 2.5)):
        theirs = PeftModel.from_pretrained(deepcopy(gemma.model), str(folder))(ids).logits
        with last.applied(gemma, multiplier) as adapted:
            torch.testing.assert_close(adapted.model(ids).logits, theirs, rtol=1e-4, atol=1e-4)
            assert adapted.digest != gemma.digest
        assert not torch.allclose(theirs, untouched, atol=1e-2)
    assert all(torch.equal(value, before[name]) for name, value in gemma.model.state_dict().items())
    foreign = replace(last, factors={"model.layers.9.mlp.up_proj": last.factors["model.layers.0.mlp.up_proj"]})
    refused(lambda: foreign.applied(gemma, 1.0).__enter__(), "changes model.layers.9.mlp.up_proj", "tiny gemma2 does not have")
    (tmp_path / "once" / "1" / "adapter_model.safetensors").write_bytes(b"no tensors")
    refused(lambda: Adapter.load(tmp_path / "once" / "1"), str(tmp_path / "once" / "1"), "run the stage train_adapter again")


@with_extra
def test_adapters_are_chosen_and_answer_beside_the_vectors(tmp_path: Path) -> None:
    from yapo.stages import evaluate_adapters, train_adapter
    from yapo.steering.lora.adapter import WEIGHTS
    from yapo.studies.costs import adapters as costs

    more = ("adapters=lora", "adapters.lr=0.01", "train.epochs=2", "train.warmup_steps=1", "settings=[nonlocalized]")
    facts = {"train": 3, "validation": 2, "test": 2}
    overrides = [*make(tmp_path, ("egypt",), facts, ("nonlocalized",), more), "methods=[caa]", "selection.multipliers=[1.0,2.0]"]
    config = compose([*overrides, "country=egypt", "method=caa", "tasks=[mcq]"])
    for stage in (prepare, train, train_adapter, evaluate_adapters):
        stage.main(config)
    folder = Paths.of(config).country("arabic", "egypt")
    answers, grid = pd.read_parquet(folder / "evaluation.parquet"), pd.read_parquet(folder / "validation.parquet")
    assert len(set(answers.groupby("method").size())) == 1
    assert {"baseline", "caa", "lora_sft", "lora_dpo", "prompt", "random"} == set(answers["method"])
    for kind in config.adapters.rows:
        (chosen,) = grid[(grid["method"] == kind) & grid["selected"]].to_dict("records")
        assert len(grid[grid["method"] == kind]) == 3  # two epochs at λ = 1, one of them at 2
        kept = folder / "adapters" / kind / "mcq-nonlocalized"
        provenance = read_json(kept / "provenance.json")
        assert (provenance["epoch"], provenance["multiplier"]) == (chosen["epoch"], chosen["multiplier"])
        assert provenance["training"]["config"]["adapters.lr"] == 0.01
        assert read_json(kept / "adapter_config.json")["lora_alpha"] == 16 * chosen["multiplier"]
    costs.main(config)
    rows = {kind: pd.read_parquet(folder / "studies" / f"costs_{kind}.parquet") for kind in config.adapters.rows}
    sft, dpo = (row.loc[0] for row in rows.values())
    assert (sft["passes"], sft["edit_flops"], sft["pairs"]) == (2, 0, dpo["pairs"])
    assert sft["file_bytes"] == (folder / "adapters" / "lora_sft" / "mcq-nonlocalized" / WEIGHTS).stat().st_size
    assert 0 < 2 * sft["fit_flops"] < dpo["fit_flops"]  # two answers, and both again with the adapter switched off


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("adapters.rows=[lora]", ("adapters.rows=lora", "choose one of lora_sft, lora_dpo")),
        ("adapters.modules=[lm_head]", ("adapters.modules=lm_head", "choose one of q_proj")),
        ("adapters.modules=[]", ("adapters.modules=[]", "name at least one")),
        ("adapters.rank=0", ("adapters.rank=0", "at least 1")),
        ("adapters.alpha=0", ("adapters.alpha=0.0", "a positive number")),
        ("adapters.lr=-1", ("adapters.lr=-1.0", "a positive learning rate")),
    ],
)
def test_impossible_settings_are_refused(override: str, parts: tuple[str, ...]) -> None:
    refused_value(lambda: compose(["adapters=lora", override]), *parts)


def test_adapters_that_cannot_be_chosen_or_trained_are_refused() -> None:
    if not INSTALLED:
        refused(lambda: check_adapters(compose(["adapters=lora"])), "is not installed", "pip install 'yapo-pipeline[lora]'")
        return
    check_adapters(compose(["adapters=lora"]))
    refused(lambda: check_adapters(compose(["adapters=lora", "selection.max_kl=1.0"])), "selection.max_kl=1", "set adapters=none")
    config = compose(["adapters=lora"])
    config = replace(config, data=replace(config.data, source="table", path="items.parquet", role="test"))
    refused(lambda: check_adapters(config), "adapters.rows=lora_sft,lora_dpo learn")
