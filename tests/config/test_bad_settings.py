"""Settings that are unknown or impossible: each is refused in one line that names it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from yapo.config import (
    Config,
    DataConfig,
    DiscoveryConfig,
    GenerationConfig,
    ModelConfig,
    PortableConfig,
    ReportConfig,
    SelectionConfig,
    SplitConfig,
    TrainConfig,
)
from yapo.config.compose import compose
from yapo.config.evaluation import LikelihoodConfig
from yapo.errors import YapoError
from yapo.stages.app import run

METHODS = "bipo, caa, corrsteer, cue, dpo, dspa, imported, lat, pca, probe, reps, sas, sas_output, sft, yapo"
UNKNOWN = [
    (["train.lrr=1"], "no setting is called 'train.lrr'; did you mean train.lr?"),
    (["methd=yapo"], "no setting is called 'methd'; did you mean method?"),
    (["+train.lrr=1"], "no setting is called 'train.lrr'; did you mean train.lr?"),
    (["country.name=x"], "no setting is called 'country.name'"),
    (["method=sas", "method.options.tauu=1"], "no setting is called 'method.options.tauu'; did you mean method.options.tau?"),
    (["train={lrr: 1}"], "train.lrr: no setting is called so"),
    (["nonsense"], "nonsense"),
    (["experiment=embeded"], "experiment=embeded: unknown experiment; did you mean embedded? choose among embedded"),
    (
        ["method=yappo"],
        f"method=yappo: unknown method; did you mean yapo? choose among {METHODS}",
    ),
    (
        ["methods=[caa,yappo]"],
        f"methods=yappo: unknown method; did you mean yapo? choose among {METHODS}",
    ),
    (
        ["method.name=foo"],
        f"method.name=foo: unknown method; choose among {METHODS}",
    ),
    (["learning_rate.yappo=1"], "no setting is called 'learning_rate.yappo'; did you mean learning_rate.yapo?"),
    (["model=tinny"], "model=tinny: unknown model; did you mean tiny? choose among"),
    (["train.learning_rate=1"], "no setting is called 'train.learning_rate'; did you mean train.lr?"),
    (["train.wd=1"], "did you mean train.weight_decay?"),
    (["model.torch_dtype=float16"], "did you mean model.dtype?"),
    (["selection.lambdas=[1.0]"], "did you mean selection.multipliers?"),
    (["lr=1e-3"], "no setting is called 'lr'"),
    (["train.lr"], "train.lr: has no value; write train.lr=VALUE"),
    (["train.lr", "1e-3"], "train.lr: has no value; write train.lr=VALUE"),
    (["country"], "country: has no value; write country=VALUE"),
    (["experiment=my-own"], "experiment=my-own: unknown experiment; choose among"),
    (["experiment=../smoke"], "experiment=../smoke: unknown experiment"),
    (["data=tabel"], "data=tabel: unknown data; did you mean table?"),
    (["model="], "model=: unknown model; choose among"),
    (["method=yopa"], "method=yopa: unknown method; did you mean yapo?"),
    (["discovery.candidates=2"], "discovery.candidates=2: give a list, as discovery.candidates=[2]"),
    (["methods=caa"], "methods=caa: give a list, as methods=[caa]"),
    (["selection.multipliers=1.0"], "give a list, as selection.multipliers=[1.0]"),
    (["tasks=[quiz]"], "tasks=quiz: choose one of mcq, open_ended"),
    (["studies.convergence.methods=[yapo,yopa]"], "studies.convergence.methods=yopa: unknown method; did you mean yapo?"),
    (["studies.transfer.left_out_methods=[caa,imported]"], "left_out_methods=imported: it learns from no pairs"),
    (["model=[1,2]"], "model=[1,2]: unknown model; choose among"),
    (["train.epochs=${nope}"], "train.epochs: ${nope} names no setting"),
    (["settings=[local]"], "settings=local: choose one of localized, nonlocalized, both"),
]
IMPOSSIBLE = [
    (["train.lr=-1"], "train.lr=-1.0: a positive learning rate"),
    (["train.lr=fast"], "train.lr=fast: must be a number"),
    (["train.epochs=1.5"], "train.epochs=1.5: must be a whole number"),
    (["train.epochs=1e3"], "train.epochs=1e3: must be a whole number"),
    (["train={epochs: x}"], "train.epochs=x: must be a whole number"),
    (["train.lr="], "train.lr=: must be a number"),
    (["train.lr=0,001"], "train.lr=0,001: give one value; decimals follow a dot"),
    (["train.steer_bos=perhaps"], "train.steer_bos=perhaps: must be true or false"),
    (["discovery.candidates=[1,a]"], "discovery.candidates[1]=a: must be a whole number"),
    (["data.path=null"], "data.path=null: must have a value"),
    (["train.beta=???"], "train.beta: has no value"),
    (["store=3"], "store=3: must be settings and values"),
    (["dspa=${model.path}"], "dspa='world/model': must be a JSON object"),
    (["selection.multipliers=${train.lr}"], "selection.multipliers=0.005: must be a list"),
    (["discovery.countries=[[1]]"], "discovery.countries[0]=[1]: must be a text"),
    (["dspa.mode=ablat"], "dspa.mode=ablat: choose one of ablate, augment, both"),
    (["train.epochs=1" + "0" * 5000], "0: cannot be read"),
    (["train.lr=1" + "0" * 400], "holds a number beyond floats"),
    (["train.epochs='" + "x" * 3000 + "'"], "xxx': must be a whole number"),
    (["selection.multipliers=[" + ",".join(["1.0"] * 5000) + "]"], "...: has 5,000 entries; give 1,000 at most"),
    (["judge.parameters={" + ",".join(["n: 1"] * 5000) + "}"], "...: has 5,000 entries; give 1,000 at most"),
    (["countries=" + "[" * 1000 + "]" * 1000], "countries: has too many brackets in brackets; give a plain list"),
    (["countries=[nepal"], "countries=[nepal: cannot be read; close every bracket and quote"),
    (["judge.parameters={n: 5}"], "judge.parameters={n: 5}: adds a key; write ++judge.parameters={n: 5}"),
    (["model.path=${oc.env:YAPO_NOT_SET}"], "model.path: the environment variable YAPO_NOT_SET is not set"),
    (["model.path=~/model"], "model.path=~/model: ~ is not read here"),
    (["+learning_rate={yappo: 1}"], "learning_rate=yappo: unknown method; did you mean yapo?"),
    (["prompts.boxed='{k} \\\\boxed{{1}}'"], "must write \\boxed{2} for k=2"),
    (["countries=[nepal,nepal]"], "countries=['nepal', 'nepal']: name each once"),
    (["discovery.multipliers=[0]"], "discovery.multipliers=[0.0]: leave 0 out"),
    (["discovery.layer=-1"], "discovery.layer=-1: layers count from 0"),
    (["selection.multipliers=[2.0]"], "selection.multipliers=[2.0]: must contain 1.0"),
    (["data=table", "data.path="], "data.path=: a table source needs a file"),
    (["countries=egypt"], "countries=egypt"),
    (["methods=[]"], "methods=[]: name at least one"),
    (["train.grad_clip=inf"], "train.grad_clip=inf"),
    (["selection.multipliers=[1.0,1e999]"], "selection.multipliers=inf: give a finite number"),
    (["data=table", "data.path=a{b}.csv"], "data.path='a{b}.csv': use a path without braces"),
    (["prompts.mcq='{questoin}'"], "prompts.mcq={questoin}: fill in {question}, {options}"),
]


@pytest.mark.parametrize(("overrides", "message"), UNKNOWN + IMPOSSIBLE, ids=lambda part: part if isinstance(part, str) else "")
def test_one_line_and_status_2(
    overrides: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        run(lambda config: pytest.fail(f"reached with {config}"), overrides)
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (TrainConfig, {"lr": float("nan")}, "train.lr=nan: a positive learning rate"),
        (TrainConfig, {"epochs": 0}, "train.epochs=0: at least 1"),
        (TrainConfig, {"batch_size": 0}, "train.batch_size=0: at least 1"),
        (TrainConfig, {"beta": 0.0}, "train.beta=0.0: a positive number"),
        (TrainConfig, {"warmup_steps": -1}, "train.warmup_steps=-1: 0 or more"),
        (TrainConfig, {"weight_decay": -0.1}, "train.weight_decay=-0.1: 0 or more"),
        (TrainConfig, {"grad_clip": 0.0}, "train.grad_clip=0.0: a positive norm"),
        (TrainConfig, {"seed": -1}, "train.seed=-1: 0 or more"),
        (SplitConfig, {"seed": -1}, "split.seed=-1: 0 or more"),
        (DataConfig, {"seed": -1}, "data.seed=-1: 0 or more"),
        (ModelConfig, {"dtype": "int8"}, "model.dtype=int8: choose one of float32, bfloat16, float16"),
        (ModelConfig, {"batch_size": 0}, "model.batch_size=0: at least 1"),
        (ModelConfig, {"max_prompt_tokens": 0}, "model.max_prompt_tokens=0: at least 1"),
        (DiscoveryConfig, {"candidates": []}, "discovery.candidates=[]: name at least one layer"),
        (DiscoveryConfig, {"candidates": [1, -2]}, "discovery.candidates=[1, -2]: layers count from 0"),
        (DiscoveryConfig, {"select": "best"}, "discovery.select=best: choose one of patching, steerability"),
        (DiscoveryConfig, {"countries": []}, "discovery.countries=[]: name one, or fix discovery.layer"),
        (GenerationConfig, {"max_new_tokens_mcq": 0}, "generation.max_new_tokens_mcq=0: at least 1"),
        (GenerationConfig, {"max_new_tokens_open_ended": 0}, "generation.max_new_tokens_open_ended=0: at least 1"),
        (GenerationConfig, {"mcq": []}, "generation.mcq=[]: name at least one of boxed, likelihood"),
        (GenerationConfig, {"mcq": ["boxed", "loglikelihood"]}, "generation.mcq=loglikelihood: choose one of boxed, likelihood"),
        (GenerationConfig, {"mcq": ["boxed", "boxed"]}, "generation.mcq=['boxed', 'boxed']: name each once"),
        (LikelihoodConfig, {"answer": "letter"}, "generation.likelihood.answer=letter: choose one of number, text"),
        (LikelihoodConfig, {"metric": "f1"}, "generation.likelihood.metric=f1: choose one of acc, acc_norm, acc_bytes"),
        (DiscoveryConfig, {"candidates": [1, 1]}, "discovery.candidates=[1, 1]: name each once"),
        (DiscoveryConfig, {"countries": ["x", "x"]}, "discovery.countries=['x', 'x']: name each once"),
        (SelectionConfig, {"multipliers": [1.0, 1.0]}, "selection.multipliers=[1.0, 1.0]: name each once"),
        (SelectionConfig, {"max_kl": 0.0}, "selection.max_kl=0.0: a positive number of nats"),
        (PortableConfig, {"top_k": [16, 16]}, "portable.top_k=[16, 16]: name each once"),
        (ReportConfig, {"confidence": 95.0}, "report.confidence=95.0: between 0 and 1"),
        (ReportConfig, {"resamples": 10}, "report.resamples=10: at least 100"),
        (Config, {"tasks": ["mcq", "mcq"]}, "tasks=['mcq', 'mcq']: name each once"),
        (Config, {"settings": []}, "settings=[]: name at least one"),
        (Config, {"threads": 0}, "threads=0: at least 1"),
    ],
)
def test_impossible_values_are_refused_by_their_key(group: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(YapoError, match=re.escape(message)):
        group(**values)


def test_compose_raises_what_run_prints() -> None:
    with pytest.raises(YapoError, match=r"^train.lr=-1.0: a positive learning rate, not infinite$"):
        compose(["train.lr=-1"])
