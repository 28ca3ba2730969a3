"""Composing a study from ``conf/``, and what a person sees who types something wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
import torch
import yaml
from omegaconf import OmegaConf

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
from yapo.config.compose import compose, plain
from yapo.config.conf_files import CONF, ROOT, group_options
from yapo.config.evaluation import LikelihoodConfig
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.stages import data, evaluate, train
from yapo.stages.app import DeclaredSettings, run

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
CHOICES = [(group, name) for group in GROUPS for name in group_options(group)]


def nothing(config: Config) -> None:
    """A stage that must not be reached."""
    raise AssertionError(f"reached with {config}")


def test_defaults_are_the_embedded_study() -> None:
    config = compose([])
    assert (config.experiment, config.folder) == ("embedded", Path("results/embedded"))
    assert sorted([*config.methods, "imported"]) == group_options("method")
    assert config.model.path == "world/model"
    assert isinstance(config, Config)


@pytest.mark.parametrize("experiment", ["embedded", "gemma2_2b_published"])
def test_the_choice_of_a_method_gives_what_hydra_alone_gives(experiment: str) -> None:
    for name in [*group_options("method"), "yapo"]:
        short = plain(compose([f"experiment={experiment}", f"method={name}"]))
        whole = plain(compose([f"experiment={experiment}", f"method={name}", f"method.name={name}"]))  # not among the short cuts
        assert short == whole
    assert plain(compose([f"experiment={experiment}"]))["method"]["name"] == "yapo"


def written(*place: str) -> dict[str, Any]:
    """A file of ``conf/`` as it stands."""
    return dict(yaml.safe_load(CONF.joinpath(*place).with_suffix(".yaml").read_text(encoding="utf-8")))


def resolved(values: dict[str, Any]) -> dict[str, Any]:
    """The values, with those of the environment where they refer to them."""
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(values), resolve=True))


def filled_in(values: dict[str, Any], config: Config) -> dict[str, Any]:
    """The values, with those of the experiment's `dspa` where they refer to them."""
    own = {f"${{dspa.{key}}}": value for key, value in asdict(config.dspa).items()}
    return {key: own.get(str(value), value) for key, value in values.items()}


def test_default_files_agree_with_the_typed_defaults() -> None:
    """One truth: what a default file of ``conf/`` says is the default in ``yapo/config/``."""
    chosen = [entry for entry in written("config")["defaults"] if isinstance(entry, dict)]
    defaults = {group: name for entry in chosen for group, name in entry.items()}
    assert set(defaults) == set(GROUPS)
    typed = asdict(Config())
    for group in set(GROUPS) - {"experiment"}:
        values = written(group, defaults[group])
        if group == "method":  # options are each method's own: a typed default would be every method's
            del values["options"]
        assert {key: typed[group][key] for key in values} == values


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=lambda part: str(part))
def test_every_file_in_conf_composes(group: str, name: str) -> None:
    config = compose([f"{group}={name}"])
    if group == "experiment":
        assert config.experiment == name
        return
    given, experiment = written(group, name), written("experiment", "embedded").get(group, {})
    if group in given:  # a file for the whole configuration
        assert config.tasks == given["tasks"]
        given = given[group]
    held = asdict(config)[group]
    values = {key: value for key, value in given.items() if key not in experiment}
    if group == "model":
        values = resolved(values)
    if group == "method" and "options" in values:
        values["options"] = filled_in(values["options"], config)
    assert {key: held[key] for key in values} == values


@pytest.mark.parametrize("experiment", group_options("experiment"))
@pytest.mark.parametrize("method", group_options("method"))
def test_every_experiment_with_every_method(experiment: str, method: str) -> None:
    config = compose([f"experiment={experiment}", f"method={method}"])
    assert (config.experiment, config.method.name) == (experiment, method)
    rates = config.learning_rate
    assert config.train.lr == rates.get(method, config.train.lr)
    asked = written("method", method).get("options", {})
    tuned = config.method_options.get(method, {})
    assert plain(config)["method"] == {"name": method, "options": filled_in(asked, config) | tuned}


@pytest.mark.parametrize("experiment", group_options("experiment"))
def test_countries_of_every_experiment_are_in_its_data(experiment: str) -> None:
    config = compose([f"experiment={experiment}"])
    if config.data.source == "table":
        pytest.skip(f"the items of {experiment} are a file of the user's")
    assert {*config.countries, *(config.discovery.countries or []), config.country} <= set(known_countries(config.data))


def test_replies_of_judges_are_kept_beside_the_studies() -> None:
    assert compose(["results=elsewhere"]).judge.cache == "elsewhere/judgements"
    assert compose(["results=elsewhere", "judge=openai"]).judge.cache == "elsewhere/judgements"
    assert compose(["results=elsewhere", "judge.cache=shared"]).judge.cache == "shared"


def test_what_is_typed_wins() -> None:
    config = compose(["train.epochs=7", "countries=[egypt,nepal]", "method=sas", "method.options.tau=0.25", "discovery.layer=2"])
    assert (config.train.epochs, config.countries, config.discovery.layer) == (7, ["egypt", "nepal"], 2)
    assert config.method.options["tau"] == 0.25
    assert compose(["experiment=smoke", "train.epochs=3"]).train.epochs == 3
    assert compose(["method=yapo", "learning_rate.yapo=0.125"]).train.lr == 0.125
    assert compose(["method=yapo", "train.lr=0.25"]).train.lr == 0.25


UNKNOWN = [
    (["train.lrr=1"], "no setting is called 'train.lrr'; did you mean train.lr?"),
    (["methd=yapo"], "no setting is called 'methd'; did you mean method?"),
    (["+train.lrr=1"], "no setting is called 'train.lrr'; did you mean train.lr?"),
    (["country.name=x"], "no setting is called 'country.name'"),
    (["method=sas", "method.options.tauu=1"], "no setting is called 'method.options.tauu'; did you mean method.options.tau?"),
    (["train={lrr: 1}"], "train.lrr: no setting is called so"),
    (["nonsense"], "nonsense"),
    (["experiment=embeded"], "experiment=embeded: unknown experiment; did you mean embedded? choose among embedded"),
    (["method=yappo"], "method=yappo: unknown method; did you mean yapo? choose among bipo, caa, dspa, imported, sas, yapo"),
    (
        ["methods=[caa,yappo]"],
        "methods=yappo: unknown method; did you mean yapo? choose among bipo, caa, dspa, imported, sas, yapo",
    ),
    (["method.name=foo"], "method.name=foo: unknown method; choose among bipo, caa, dspa, imported, sas, yapo"),
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
        run(nothing, overrides)
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


def fails(stage: Callable[[Config], None], arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a stage that must end with status 2."""
    with pytest.raises(SystemExit) as caught:
        run(stage, arguments)
    out, err = capsys.readouterr()
    assert (caught.value.code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.mark.parametrize("country", ["egyptt", "Egypt", "france"])
def test_unknown_country(tmp_path: Path, capsys: pytest.CaptureFixture[str], country: str) -> None:
    results = f"results={tmp_path / 'results'}"
    line = fails(train.main, [results, f"country={country}", "discovery.layer=1"], capsys)
    assert f"country={country}: unknown country;" in line
    assert ("did you mean egypt?" in line) == (country != "france")
    assert "choose among egypt, ksa" in line
    assert not list(tmp_path.iterdir())


def test_inputs_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = f"results={tmp_path / 'results'}"
    assert "layer.json: no such file; run the stage that makes it" in fails(evaluate.main, [results], capsys)
    assert "items.parquet: no such file; run the stage" in fails(evaluate.main, [results, "discovery.layer=1"], capsys)
    assert "mcq.safetensors: no such file" in fails(train.main, [results, "discovery.layer=1"], capsys)
    assert "mine.csv: no such file (data.path)" in fails(data.main, [results, "data=table", "data.path=mine.csv"], capsys)


@pytest.mark.parametrize(
    ("stage", "fix"),
    [(data.main, "give a folder you may write to"), (train.main, "no such file; give an existing one")],  # train reads first
    ids=["data", "train"],
)
def test_a_place_that_cannot_be_written(
    stage: Callable[[Config], None], fix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below a regular file, where not even root can write."""
    (tmp_path / "file").write_text("in the way")
    line = fails(stage, [f"results={tmp_path / 'file'}", "discovery.layer=1"], capsys)
    assert str(tmp_path / "file") in line
    assert fix in line
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    line = fails(data.main, [f"results={tmp_path / 'locked'}"], capsys)
    assert "Permission denied" in line
    assert "give a folder you may write to" in line


def test_a_bad_table_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.csv").write_text("question_id,question\nf1,what?\n")
    arguments = [f"results={tmp_path / 'results'}", "data=table", f"data.path={tmp_path / 'mine.csv'}"]
    assert "mine.csv: columns language, country" in fails(data.main, arguments, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


def test_the_data_stage_by_hand(tmp_path: Path) -> None:
    """The command as typed, in a process of its own."""
    study = tmp_path / "results" / "embedded"
    command = [sys.executable, "-m", "yapo.stages.data", f"results={tmp_path / 'results'}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    files = sorted(str(path.relative_to(study)) for path in study.rglob("*") if path.is_file())
    assert files == ["data/items.parquet", "data/leakage.json", "data/split.parquet"]
    assert len(pd.read_parquet(study / "data" / "split.parquet")) == 104
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    run(data.main, [f"results={tmp_path / 'results'}"])
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_config_prints_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    run(nothing, ["--config", "train.epochs=3"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed == plain(compose(["train.epochs=3"]))


def test_help_names_every_choice(capsys: pytest.CaptureFixture[str]) -> None:
    run(data.main, ["--help"])
    out = capsys.readouterr().out
    assert out.startswith("Stage ``data``")
    for group, name in CHOICES:
        assert any(line.strip().startswith(f"{group}:") and name in line for line in out.splitlines())


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(AssertionError, match="reached"):
        run(nothing, [])


def test_threads_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting counts also where torch is imported already; a variable of the shell wins over it."""
    before, seen = torch.get_num_threads(), list[int]()
    other = before + 1
    try:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        run(lambda _config: seen.append(torch.get_num_threads()), [f"threads={other}"])
        run(lambda _config: seen.append(torch.get_num_threads()), [f"threads={other + 1}"])
    finally:
        torch.set_num_threads(before)
    assert seen == [other, other]
    assert os.environ["OMP_NUM_THREADS"] == str(other)


def test_compose_raises_what_run_prints() -> None:
    with pytest.raises(YapoError, match=r"^train.lr=-1.0: a positive learning rate, not infinite$"):
        compose(["train.lr=-1"])


def test_a_stage_reads_the_settings_that_it_names_and_no_others() -> None:
    config = compose([])
    seen = DeclaredSettings(config, ["train.lr", "generation.max_new_tokens_mcq", "studies.ablations.variants"])
    assert seen.train.lr == config.train.lr
    assert seen.generation.max_new_tokens("mcq") == config.generation.max_new_tokens("mcq")
    assert seen.studies.ablations.changes == config.studies.ablations.changes
    assert seen.folder == config.folder
    for read in (
        lambda: seen.train.epochs,
        lambda: seen.model,
        lambda: seen.generation.max_new_tokens("open_ended"),
        lambda: seen.studies.ablations.seeds,
    ):
        with pytest.raises(AssertionError, match="which its READS does not name"):
            read()
