"""Model folders that must not be loaded: each is refused in one sentence, and nothing of it is run or changed."""

from __future__ import annotations

import json
import re
import shutil
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from yapo.config import ModelConfig
from yapo.models.language_model import LanguageModel, load_language_model

from ..conftest import tiny_model
from ..refusals import contents, refused

Edit = Callable[[Path], object]
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
NAN = float("nan")
ZEROS = {"short_factor": [0.0] * 4, "long_factor": [0.0] * 4}
OWN_CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nraise SystemExit\n"
MAPPED = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tokenizer", None]}


@pytest.fixture(scope="module")
def whole(gemma: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    gemma.model.save_pretrained(folder)
    gemma.tokenizer.tokenizer.save_pretrained(folder)
    return folder


def setting(file: str, **changes: Any) -> Edit:
    """Change settings of a JSON file; those that are None go."""

    def edit(folder: Path) -> None:
        held = json.loads((folder / file).read_text()) | changes
        (folder / file).write_text(json.dumps({key: value for key, value in held.items() if value is not None}))

    return edit


def text(file: str, content: str | bytes) -> Edit:
    return lambda folder: (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())


def doubled(file: str, key: str) -> Edit:
    """Give a key of a JSON file a second time, behind the first; a file that is not there holds nothing else."""

    def edit(folder: Path) -> None:
        path, pair = folder / file, f"{json.dumps(key)}: 1, "
        held = path.read_text() if path.is_file() else "{" + pair[:-2] + "}"
        found = re.search(rf"{re.escape(json.dumps(key))}\s*:", held)
        assert found is not None
        path.write_text(held[: found.start()] + pair + held[found.start() :])

    return edit


def gone(file: str) -> Edit:
    return lambda folder: (folder / file).unlink()


def weights(**changes: torch.Tensor | float | None) -> Edit:
    """Change tensors: None takes one out, a number is written into its first entry."""

    def edit(folder: Path) -> None:
        held = load_file(folder / WEIGHTS)
        for name, value in changes.items():
            key = name.replace("__", ".")
            if value is None:
                del held[key]
            elif isinstance(value, float):
                held[key].view(-1)[0] = value
            else:
                held[key] = value
        save_file(held, folder / WEIGHTS, metadata={"format": "pt"})

    return edit


def indexed(**files: str) -> Edit:
    """An index that names these files, and the weights as a file called a.safetensors."""

    def edit(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "a.safetensors")
        torch.save({"a": torch.ones(2)}, folder / "b.bin")
        names = dict.fromkeys(load_file(folder / "a.safetensors"), "a.safetensors")
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": names | files}))

    return edit


def twice(name: str) -> Edit:
    """The same tensor once more, first in the table of the weights."""

    def edit(folder: Path) -> None:
        held = (folder / WEIGHTS).read_bytes()
        end = 8 + int.from_bytes(held[:8], "little")
        table = f'{{"{name}":{json.dumps(json.loads(held[8:end])[name])},'.encode() + held[9:end]
        (folder / WEIGHTS).write_bytes(len(table).to_bytes(8, "little") + table + held[end:])

    return edit


def both(*edits: Edit) -> Edit:
    return lambda folder: [edit(folder) for edit in edits]


def template(jinja: str | None) -> Edit:
    return gone("chat_template.jinja") if jinja is None else text("chat_template.jinja", jinja)


def own_code(*edits: Edit) -> Edit:
    return both(text("own.py", OWN_CODE), *edits)


LAYER = "model__layers__2__mlp__up_proj__weight"
DEEPER = setting("config.json", num_hidden_layers=5, layer_types=["full_attention"] * 5)
SHALLOWER = setting("config.json", num_hidden_layers=3, layer_types=["full_attention"] * 3)
CASES: dict[str, tuple[Edit, tuple[str, ...]]] = {
    # files
    "no config": (gone("config.json"), ("config.json is missing",)),
    "no weights": (gone(WEIGHTS), (WEIGHTS, "other formats are not read")),
    "no tokenizer": (gone("tokenizer.json"), ("the tokenizer (tokenizer.json or tokenizer.model or vocab.json) is missing",)),
    "pickled weights alone": (lambda f: (f / WEIGHTS).rename(f / "pytorch_model.bin"), (WEIGHTS, "not read")),
    "empty weights": (text(WEIGHTS, b""), ("cannot be loaded",)),
    "weights that are a pickle": (lambda f: torch.save({"a": torch.ones(1)}, f / WEIGHTS), ("cannot be loaded",)),
    "weights that are a page": (text(WEIGHTS, "<html>not found</html>"), ("cannot be loaded",)),
    "a pointer of git lfs": (text(WEIGHTS, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), ("cannot be loaded",)),
    "cut weights": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-50]), ("cannot be loaded",)),
    "an index that names a pickle": (indexed(x="b.bin"), (INDEX, "'b.bin'", "not opened")),
    "an index that names a file elsewhere": (indexed(x="../a.safetensors"), (INDEX, "'../a.safetensors'")),
    "an index that names an absolute path": (indexed(x="/tmp/a.safetensors"), (INDEX, "'/tmp/a.safetensors'")),
    "an index that names a folder": (indexed(x="sub/a.safetensors"), (INDEX, "'sub/a.safetensors'")),
    "an index that names a file that is not there": (indexed(x="c.safetensors"), ("c.safetensors", "missing")),
    "an index of numbers": (both(indexed(), text(INDEX, '{"weight_map": {"a": 3}}')), (INDEX, "damaged")),
    "an index without files": (both(indexed(), text(INDEX, '{"weight_map": {}}')), (INDEX, "damaged")),
    "an index that is not JSON": (both(indexed(), text(INDEX, "{")), (INDEX, "damaged")),
    "an index that is a list": (both(indexed(), text(INDEX, "[]")), (INDEX, "damaged")),
    "weights twice": (
        both(indexed(), lambda f: shutil.copy(f / "a.safetensors", f / WEIGHTS)),
        (f"both {WEIGHTS} and the files of {INDEX}", "move one"),
    ),
    "a shard that is cut": (
        both(indexed(), lambda f: (f / "a.safetensors").write_bytes((f / "a.safetensors").read_bytes()[:-50])),
        ("cannot be loaded",),
    ),
    "a tensor in two shards": (
        both(
            indexed(x="b.safetensors"),
            lambda f: save_file({"model.norm.weight": torch.ones(32)}, f / "b.safetensors", metadata={"format": "pt"}),
        ),
        ("model.norm.weight stands in both a.safetensors and b.safetensors",),
    ),
    "a tensor twice in the table": (twice("model.norm.weight"), ("names 'model.norm.weight' twice",)),
    "an index that names a file too long": (indexed(x="x" * 400 + ".safetensors"), ("is missing",)),
    "an adapter beside it": (text("adapter_config.json", "{}"), ("adapter_config.json", "merge")),
    # configuration
    "config that is not JSON": (text("config.json", '{"a": '), ("config.json", "not valid JSON")),
    "config that is a list": (text("config.json", "[]"), ("config.json", "not a JSON object")),
    "config in another encoding": (text("config.json", "{}".encode("utf-16")), ("config.json", "not UTF-8")),
    "config that says nothing": (text("config.json", "{}"), ("architecture 'None' is not supported", "gemma2")),
    "an architecture without support": (setting("config.json", model_type="gpt2"), ("architecture 'gpt2'", "gemma2")),
    "an architecture that is a list": (setting("config.json", model_type=["llama"]), ("architecture '['llama']'",)),
    "an architecture of two lines": (setting("config.json", model_type="a\nb"), ("architecture 'a\\nb'",)),
    "its own architecture": (
        own_code(setting("config.json", model_type="own", auto_map=MAPPED)),
        ("architecture 'own'", "auto_map", "never run"),
    ),
    "quantised": (setting("config.json", quantization_config={"quant_method": "bitsandbytes"}), ("quantization_config",)),
    "layers of the wrong type": (setting("config.json", num_hidden_layers="four"), ("cannot be loaded", "num_hidden_layers")),
    "heads that do not divide": (setting("config.json", num_key_value_heads=3), ("has shape", "asks for")),
    "another activation": (setting("config.json", hidden_activation="no_such"), ("cannot be loaded", "no_such")),
    **{
        f"{name} of {value}": (
            setting("config.json", **{name: value}),
            (f"{name} is {value} in config.json", "finite number above 0"),
        )
        for name, value in (
            *((f"{place}_logit_softcapping", value) for place in ("final", "attn") for value in (NAN, float("inf"), 0.0, -1.5)),
            *(("rms_norm_eps", value) for value in (NAN, -1e-6, 0.0)),
            *(("query_pre_attn_scalar", value) for value in (-8, 0)),
            *(("sliding_window", value) for value in (0, -1)),
            *(("rope_theta", value) for value in (NAN, 0, -1e4)),
        )
    },
    "rope within of 0": (
        setting("config.json", rope_parameters={"rope_type": "default", "rope_theta": 0.0}),
        ("rope_theta is 0.0 in config.json",),
    ),
    "another number that is NaN": (setting("config.json", spare=[{"x": NAN}]), ("x is nan", "write a finite number, or")),
    "a number beyond floats": (text("config.json", '{"model_type": "gemma2", "hidden_size": 1e999}'), ("hidden_size is inf",)),
    "a key twice": (text("config.json", '{"model_type": "llama", "model_type": "gemma2"}'), ("it gives 'model_type' twice",)),
    "an end below 0": (setting("config.json", eos_token_id=-1), ("eos_token_id is -1", "a token's number, 0 to")),
    "an end beyond the vocabulary": (setting("generation_config.json", eos_token_id=[1, 999999]), ("[1, 999999]", "0 to")),
    "ends that are text": (setting("generation_config.json", eos_token_id="<eos>"), ("eos_token_id", "<eos>")),
    "ends that are switches": (setting("config.json", eos_token_id=[True]), ("eos_token_id", "True")),
    **{
        f"a byte order mark in {name}": (
            lambda f, name=name: (f / name).write_bytes(BOM_UTF8 + (f / name).read_bytes()),
            (f"{name} begins with a byte order mark", "UTF-8 without one"),
        )
        for name in ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja")
    },
    "frequencies that are infinite": (
        setting("config.json", rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "factor": 2.0, **ZEROS}),
        ("inv_freq holds NaN or infinity",),
    ),
    "a value of thousands of letters": (setting("config.json", model_type="x" * 5000), ("architecture 'x", " ... ", "qwen3")),
    "generation settings that are not JSON": (text("generation_config.json", "{"), ("generation_config.json", "not valid JSON")),
    # tensors
    "a tensor less": (weights(**{LAYER: None}), ("lack model.layers.2.mlp.up_proj.weight", "4 layers of gemma2")),
    "no embedding": (weights(model__embed_tokens__weight=None), ("lack", "embed_tokens.weight")),
    "no last norm": (weights(model__norm__weight=None), ("lack model.norm.weight",)),
    "more layers than weights": (DEEPER, ("lack model.layers.4.", "and 8 more", "5 layers")),
    "fewer layers than weights": (SHALLOWER, ("hold model.layers.3.", "and 8 more", "3 layers")),
    "a head that is not there": (setting("config.json", tie_word_embeddings=False), ("lack lm_head.weight",)),
    "a tensor more": (weights(model__vision__weight=torch.ones(3)), ("hold model.vision.weight",)),
    "tensors of another architecture": (setting("config.json", model_type="qwen3", head_dim=8), ("weights",)),
    "a tensor of another shape": (weights(**{LAYER: torch.ones(48, 16)}), ("up_proj.weight has shape (48, 16)", "(48, 32)")),
    "another width": (setting("config.json", hidden_size=64), ("has shape", "config.json asks for")),
    "another vocabulary": (setting("config.json", vocab_size=50), ("embed_tokens.weight has shape", "50")),
    "whole numbers": (
        weights(**{LAYER: torch.ones(48, 32, dtype=torch.int8)}),
        ("model.layers.2.mlp.up_proj.weight of model.safetensors holds I8 numbers", "floating-point"),
    ),
    "switches": (weights(model__norm__weight=torch.ones(32, dtype=torch.bool)), ("norm.weight", "holds BOOL numbers")),
    "NaN": (weights(**{LAYER: float("nan")}), ("model.layers.2.mlp.up_proj.weight holds NaN",)),
    "infinity": (weights(model__embed_tokens__weight=float("-inf")), ("embed_tokens.weight holds NaN or infinity",)),
    # tokenizer and template
    "tokenizer that is not JSON": (text("tokenizer.json", "{"), ("tokenizer.json", "not valid JSON")),
    **{
        f"a key twice in {name}": (doubled(name, key), (name, f"it gives {key!r} twice", "fetch or copy it again"))
        for name, key in (
            *(("tokenizer.json", key) for key in ("version", "<eos>")),
            *(("tokenizer_config.json", "eos_token"), ("generation_config.json", "eos_token_id")),
            *(("special_tokens_map.json", "pad_token"), ("added_tokens.json", "<eos>"), ("vocab.json", "a")),
        )
    },
    "tokenizer that is empty": (text("tokenizer.json", "{}"), ("cannot be loaded",)),
    "tokenizer settings that are a list": (text("tokenizer_config.json", "[]"), ("tokenizer_config.json", "JSON object")),
    "no tokenizer settings": (gone("tokenizer_config.json"), ("tokenizer_config.json is missing",)),
    "an end that is no token": (
        setting("tokenizer_config.json", eos_token="<nope>"),
        ("eos_token is '<nope>' in tokenizer_config.json", "no token of tokenizer.json"),
    ),
    "an end of no letters": (setting("tokenizer_config.json", eos_token=""), ("eos_token is ''",)),
    "a length in words": (setting("tokenizer_config.json", model_max_length="x"), ("cannot be loaded (TypeError",)),
    "a tokenizer without a decoder": (setting("tokenizer.json", decoder=None), ("the tokenizer gives 'Zqfirst' back as 'Z",)),
    "tokens beyond the embedding": (
        lambda f: _saved(f, vocabulary=300),
        ("tokens beyond the 300 that the model embeds", "the model's own tokenizer"),
    ),
    "no template": (template(None), ("no chat template",)),
    "a template with an error": (template("{% for %}"), ("the chat template refuses",)),
    "a template that adds text to nothing": (template("{{ messages[0].nothing + 3 }}"), ("the chat template refuses",)),
    "a template that divides by zero": (template("{{ 1 // 0 }}"), ("the chat template refuses", "zero")),
    "a template that reads what it must not": (template("{{ ''.__class__.__mro__ }}"), ("the chat template refuses",)),
    "a template that counts for long": (template("{% for i in range(999999) %}{% endfor %}"), ("the chat template refuses",)),
    "a template that raises to powers": (template("{{ 10**10**9 }}"), ("the chat template refuses", "raises numbers to powers")),
    "a template that loops in loops": (
        template("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"),
        ("the chat template refuses", "more than 300,000 steps"),
    ),
    "a template that calls itself": (
        template("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"),
        ("the chat template refuses", "more than 300,000 steps"),
    ),
    "a template that leaves out questions": (template("{{ messages[-1].role }}"), ("leaves out the user's turn",)),
    "a template that leaves out answers": (template("{{ messages[0].content }}"), ("leaves out the model's turn",)),
    "a template that writes a turn twice": (
        template("{% for m in messages %}{{ m.content }}{{ m.content }}<eos>{% endfor %}"),
        ("does not write each turn once",),
    ),
    "a template from last to first": (
        template("{% for m in messages | reverse %}{{ m.content }}<eos>{% endfor %}"),
        ("does not write each turn once",),
    ),
    "a template that closes no turn": (template("{% for m in messages %} {{ m.content }}{% endfor %}"), ("does not close",)),
}


def _saved(folder: Path, vocabulary: int) -> None:
    tiny_model("gemma2", vocabulary).save_pretrained(folder)


@pytest.mark.parametrize("case", CASES)
def test_a_model_that_is_not_loaded(whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str) -> None:
    edit, parts = CASES[case]
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    edit(folder)
    before = contents(tmp_path)
    line = refused(lambda: load_language_model(ModelConfig(path=str(folder)), device="cpu"), *parts)
    assert str(folder) in line
    assert contents(tmp_path) == before  # no code of the folder ran, which would leave a file
    assert "LOAD REPORT" not in capfd.readouterr().err


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_in_the_folder_is_not_run_where_the_library_has_its_own(
    whole: Path, gemma: LanguageModel, tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    own_code(setting(file, auto_map=MAPPED))(folder)
    loaded = load_language_model(ModelConfig(path=str(folder)), device="cpu")
    assert type(loaded.model) is type(gemma.model)
    assert not (folder / "ran").exists()
    assert "code in its folder (auto_map) is never run; the library's gemma2 is" in caplog.text


def test_tensors_that_old_checkpoints_hold_beside_the_model(whole: Path, tmp_path: Path) -> None:
    """Rotary frequencies, which the configuration gives too, and a tied head's own copy."""
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    held = load_file(folder / WEIGHTS)
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4), "lm_head.weight": held["model.embed_tokens.weight"]}
    save_file({name: tensor.clone() for name, tensor in (held | old).items()}, folder / WEIGHTS, metadata={"format": "pt"})
    loaded = load_language_model(ModelConfig(path=str(folder)), device="cpu")
    assert torch.equal(loaded.model.lm_head.weight, held["model.embed_tokens.weight"])


@pytest.mark.parametrize(
    "edit",
    [
        setting("config.json", query_pre_attn_scalar=1, spare=-1),
        lambda f: (f / "config.json").write_text(
            (f / "config.json").read_text().replace('"attn_logit_softcapping": 50.0', '"attn_logit_softcapping": null')
        ),
        text(INDEX, json.dumps({"weight_map": {"a": "gone.safetensors"}})),
        text(INDEX, json.dumps({"weight_map": {"a": WEIGHTS}})),
    ],
    ids=["a number below 0 that nothing reads", "no soft cap", "an index of shards that are gone", "an index of the whole file"],
)
def test_unusual_folders_that_are_loaded(whole: Path, tmp_path: Path, edit: Edit) -> None:
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    edit(folder)
    load_language_model(ModelConfig(path=str(folder)), device="cpu")
