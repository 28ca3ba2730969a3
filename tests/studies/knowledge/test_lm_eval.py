"""lm-eval on a steered model: its numbers against one unpadded pass for each question, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import constants
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager
from torch import Tensor

from yapo.config import KnowledgeConfig, ModelConfig
from yapo.data.atlas import load_atlas
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE, load_sae
from yapo.steering.interventions import sparse_edit_plain
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.vector import SteeringVector, VectorInfo
from yapo.studies.knowledge.steered_lm import SteeredLM, main
from yapo.studies.knowledge.tasks import Questions, check_same_questions, write_culture_tasks

from ...hub_server import COMMIT, put_in_cache
from ...steering.methods.test_dspa_map import block_output, make_map, plain_edit, plain_sets

ROOT = Path(__file__).resolve().parents[3]
LAYER = 2
SAE_PATH = ROOT / "world" / "sae" / "layer_2"
QUESTIONS = ["What is a typical breakfast?", "I am from Nepal. Which dish is cooked for the evening meal, and by whom?", "Why?"]
ANSWERS = ["Fry-up with beans", "Tea", "Cereal"]


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return load_language_model(ModelConfig(path=str(ROOT / "world" / "model")), device="cpu")


@cache
def saes() -> dict[int, SAE]:
    return {layer: load_sae(ROOT / "world" / "sae" / f"layer_{layer}") for layer in (1, LAYER, 3)}


def make_vector(space: str, tiny: LanguageModel) -> SteeringVector:
    g = torch.Generator().manual_seed(1)
    if space == "dense":
        return SteeringVector(torch.randn(96, generator=g), VectorInfo("caa", "dense", LAYER, "tiny", tiny.digest))
    if space == "map":
        template, early, late = tiny.tokenizer.template, saes()[1], saes()[3]
        made = make_map(early, late, layer_in=1, layer_out=3, mode="both", k_prompt=32, k_diff=200, template=template)
        return SteeringVector(torch.tensor([0.5]), VectorInfo("dspa", "map", 3, "tiny", tiny.digest, "out", late.digest), made)
    sae = saes()[LAYER]
    values = 0.5 * torch.randn(sae.d_sae, generator=g)
    return SteeringVector(values, VectorInfo("yapo", "sparse", LAYER, "tiny", tiny.digest, str(SAE_PATH), sae.digest))


def steered_lm(
    lm: LanguageModel | str, vector: SteeringVector | None, multiplier: float | None = None, batch: int = 4
) -> SteeredLM:
    mapped = vector is not None and vector.info.space == "map"
    return SteeredLM(lm, vector, multiplier, saes() if mapped else None, batch_size=batch, device="cpu")


def plain_logits(
    tiny: LanguageModel, ids: list[int], vector: SteeringVector | None, multiplier: float, context: int = 0
) -> Tensor:
    """One unpadded row through the whole model, edited by definition: all but its first token, or from its context's last on."""
    layer, first = LAYER if vector is None else vector.info.layer, 1

    def edit(hidden: Tensor) -> Tensor:
        if vector is None:
            return hidden
        u = multiplier * vector.values
        return hidden + u if vector.info.space == "dense" else sparse_edit_plain(saes()[LAYER], hidden, u)

    if vector is not None and isinstance(vector.payload, ConditionalMap):
        first = context - 1
        content = tiny.tokenizer.template.content(torch.tensor([ids]))[0].tolist()
        read = [place for place in range(context) if content[place]]
        sets = plain_sets(vector.payload, saes()[1], block_output(tiny, torch.tensor([ids]), 1)[0][read])
        alpha = multiplier * float(vector.values)

        def edit(hidden: Tensor) -> Tensor:
            return torch.stack([plain_edit(saes()[3], row, *sets, alpha) for row in hidden[0]])[None]

    def hook(_module: object, _args: object, hidden: Tensor) -> Tensor:
        return torch.cat([hidden[:, :first], edit(hidden[:, first:])], dim=1)

    handle = tiny.model.model.layers[layer].register_forward_hook(hook)
    with torch.no_grad():
        logits: Tensor = tiny.model(input_ids=torch.tensor([ids])).logits[0]
    handle.remove()
    return logits


def pairs(model: SteeredLM) -> list[tuple[str, str]]:
    """Every question with every answer, as lm-eval puts them under the chat template."""
    contexts = [model.apply_chat_template([{"role": "user", "content": question}]) for question in QUESTIONS]
    return [(context, answer) for context in contexts for answer in ANSWERS]


def requests(kind: str, arguments: list[tuple[object, ...]]) -> list[Instance]:
    return [Instance(request_type=kind, doc={}, arguments=argument, idx=i) for i, argument in enumerate(arguments)]


def scored(model: SteeredLM) -> list[tuple[float, bool]]:
    return model.loglikelihood(requests("loglikelihood", [*pairs(model)]), disable_tqdm=True)


@pytest.mark.parametrize("space", ["dense", "sparse", "map"])
def test_a_model_of_the_hub_is_steered_as_its_folder_is(
    tiny: LanguageModel, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest is its commit, and the model is loaded from the cache; a vector of another commit is refused."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    put_in_cache(tmp_path, "own/tiny", ROOT / "world" / "model")
    lm = load_language_model(ModelConfig(path="own/tiny"), device="cpu")
    assert lm.digest == COMMIT
    vector = make_vector(space, lm)
    asked = scored(steered_lm(lm, vector))
    assert asked == scored(steered_lm(tiny, make_vector(space, tiny)))
    assert asked == scored(steered_lm("own/tiny", vector))
    other = replace(vector, info=replace(vector.info, model_digest="f" * 40))
    with pytest.raises(YapoError, match=f"made for tiny .{'f' * 40}.; .* has other weights .{COMMIT}."):
        scored(steered_lm(lm, other))


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(
    ("space", "chat"), [("none", True), ("dense", True), ("sparse", True), ("sparse", False), ("map", True), ("map", False)]
)
def test_log_likelihoods_equal_one_plain_pass_each(tiny: LanguageModel, space: str, chat: bool, batch_size: int) -> None:
    """Rows of unequal length, padded on the right and without a mask; BOS stands once, first, and is not steered."""
    vector = None if space == "none" else make_vector(space, tiny)
    model = steered_lm(tiny, vector, 1.5, batch_size)
    asked = pairs(model) if chat else [(f"Q: {question}\nA:", f" {answer}") for question in QUESTIONS for answer in ANSWERS]
    values = model.loglikelihood(requests("loglikelihood", [*asked]), disable_tqdm=True)
    moved = 0.0
    for (value, greedy), (context, answer) in zip(values, asked, strict=True):
        before, after = model._encode_pair(context, answer)  # lm-eval's own division of a text
        ids, start = before + after, len(before) - 1
        if chat:
            assert ids.count(tiny.tokenizer.tokenizer.bos_token_id) == 1
            prompt = tiny.tokenizer.prompt(next(question for question in QUESTIONS if question in context))
            assert ids == prompt + tiny.tokenizer.tokenizer.encode(answer, add_special_tokens=False)
            assert len(before) == len(prompt) - 1  # lm-eval scores the line end that closes the prompt, too
        targets = torch.tensor(after)
        steered, plain = (plain_logits(tiny, ids, own, 1.5, len(before)).log_softmax(dim=-1)[start:-1] for own in (vector, None))
        assert value == pytest.approx(float(steered.gather(1, targets[:, None]).sum()), rel=1e-4, abs=1e-4)
        assert greedy == bool((steered.argmax(dim=-1) == targets).all())
        moved = max(moved, abs(value - float(plain.gather(1, targets[:, None]).sum())))
    assert (moved > 0.01) == (space != "none")


def test_batch_sizes_that_lm_eval_tries_are_no_error(tiny: LanguageModel) -> None:
    assert steered_lm(tiny, make_vector("map", tiny))._answer_starts(torch.ones(2, 5, dtype=torch.long)).tolist() == [5, 5]


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_generation_equals_one_plain_pass_for_each_token(tiny: LanguageModel, space: str) -> None:
    """Prompts of unequal length, padded on the left, with a mask and a cache."""
    vector = make_vector(space, tiny)
    model = SteeredLM(tiny, vector, multiplier=1.5, batch_size=3)
    contexts = list(dict.fromkeys(context for context, _ in pairs(model)))
    settings = {"until": [], "max_gen_toks": 5}
    written = model.generate_until(requests("generate_until", [(context, settings) for context in contexts]), disable_tqdm=True)
    for question, text in zip(QUESTIONS, written, strict=True):
        ids = prompt = tiny.tokenizer.prompt(question)
        for _ in range(5):
            ids = [*ids, int(plain_logits(tiny, ids, vector, 1.5)[-1].argmax())]
        stop = [*ids[len(prompt) :], tiny.tokenizer.tokenizer.eos_token_id].index(tiny.tokenizer.tokenizer.eos_token_id)
        assert text == tiny.tokenizer.tokenizer.decode(ids[len(prompt) :][:stop], skip_special_tokens=True)


def test_rolling_log_likelihood_is_steered(tiny: LanguageModel) -> None:
    vector, text = make_vector("dense", tiny), "Tea and bread in the morning."
    model = SteeredLM(tiny, vector, multiplier=1.5)
    (value,) = model.loglikelihood_rolling(requests("loglikelihood_rolling", [(text,)]), disable_tqdm=True)
    ids = [tiny.tokenizer.tokenizer.bos_token_id, *tiny.tokenizer.tokenizer.encode(text, add_special_tokens=False)]
    log_probs = plain_logits(tiny, ids, vector, 1.5).log_softmax(dim=-1)[:-1]
    assert value == pytest.approx(float(log_probs.gather(1, torch.tensor(ids[1:])[:, None]).sum()), rel=1e-4)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_multiplier_zero_is_the_baseline_bit_for_bit(tiny: LanguageModel, space: str) -> None:
    baseline = scored(SteeredLM(tiny, batch_size=4))
    assert scored(SteeredLM(tiny, make_vector(space, tiny), multiplier=0.0, batch_size=4)) == baseline
    assert scored(SteeredLM(tiny, make_vector(space, tiny), multiplier=1.0, batch_size=4)) != baseline
    assert scored(SteeredLM(tiny, batch_size=4)) == baseline


def test_lm_eval_makes_the_model_from_its_command_line(tmp_path: Path, tiny: LanguageModel) -> None:
    make_vector("sparse", tiny).save(tmp_path / "vector.safetensors")
    assert get_model("yapo") is SteeredLM
    arguments = f"pretrained={ROOT / 'world' / 'model'},vector={tmp_path / 'vector.safetensors'},multiplier=1.5"
    made = get_model("yapo").create_from_arg_string(arguments, {"batch_size": 4})
    assert scored(made) == scored(SteeredLM(tiny, make_vector("sparse", tiny), 1.5, batch_size=4))


def test_a_question_that_does_not_fit_is_refused_not_cut(tiny: LanguageModel) -> None:
    model = SteeredLM(tiny)
    text = "breakfast " * 600
    for ask in (
        lambda: model.loglikelihood(requests("loglikelihood", [(text, "Tea")]), disable_tqdm=True),
        lambda: model.generate_until(requests("generate_until", [(text, {"until": [], "max_gen_toks": 5})]), disable_tqdm=True),
    ):
        with pytest.raises(YapoError, match=r"does not fit into the model's 5\d\d; lower knowledge.num_fewshot"):
            ask()


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    """Three facts about two countries, in two wordings."""
    rows = []
    for language, country in (("arabic", "egypt"), ("hindi", "nepal")):
        atlas = load_atlas()[language]
        for fact in atlas.facts[:3]:
            options = list(fact.answers.values())
            for phrasing in (0, 1):
                question = f"{atlas.contexts[country].prefixes[phrasing]} {fact.questions[phrasing]}"
                index = list(fact.answers).index(country)
                row = {"country": country, "question_id": fact.question_id, "phrasing": phrasing, "question": question}
                rows.append({**row, "options": options, "answer_index": index})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, items: pd.DataFrame) -> Path:
    made = tmp_path_factory.mktemp("tasks")
    write_culture_tasks(made, items, PromptFormat())
    return made


def test_our_tasks_ask_each_fact_once_in_the_study_s_words(folder: Path, items: pd.DataFrame) -> None:
    assert len(list(folder.iterdir())) == 8
    first = items[(items["country"] == "nepal") & (items["phrasing"] == 0)].sort_values("question_id")
    for task in ("mcq", "open_ended"):
        lines = [json.loads(line) for line in (folder / f"culture_{task}_nepal.jsonl").read_text("utf-8").splitlines()]
        assert [line["question_id"] for line in lines] == first["question_id"].tolist()
        for line, item in zip(lines, first.to_dict("records"), strict=True):
            assert line["prompt"].endswith(item["question"])
            assert all((f"{i}) {option}" in line["prompt"]) == (task == "mcq") for i, option in enumerate(item["options"], 1))
            labels = [f"\\boxed{{{i}}}" for i in range(1, len(item["options"]) + 1)]
            assert line["choices"] == (labels if task == "mcq" else item["options"])
            assert line["gold"] == item["answer_index"]


def test_answers_equal_a_count_by_hand(tiny: LanguageModel, folder: Path, items: pd.DataFrame) -> None:
    """One row per question, steered and not, under the same names."""
    questions = Questions(KnowledgeConfig(tasks=["culture_open_ended"]), folder)
    model, vector = SteeredLM(tiny, batch_size=8), make_vector("dense", tiny)
    before = questions.ask(model)
    model.vector, model.multiplier = vector, 4.0
    rows = questions.ask(model)
    check_same_questions(rows, before)
    assert not rows["value"].equals(before["value"])
    for asked, steered in ((before, None), (rows, vector)):
        assert set(asked["questions"]) == {"culture_open_ended"}
        assert (asked["n"] == 1).all() and asked["stderr"].isna().all()
        for country, part in items[items["phrasing"] == 0].groupby("country"):
            found = asked[asked["task"] == f"culture_open_ended_{country}"].set_index("question_id")["value"]
            assert found.to_dict() == {item["question_id"]: is_right(tiny, item, steered) for item in part.to_dict("records")}


def is_right(tiny: LanguageModel, item: dict[str, object], vector: SteeringVector | None) -> int:
    """Whether the gold option is the likeliest answer."""
    prompt, values = tiny.tokenizer.prompt(str(item["question"])), []
    options = item["options"]
    assert isinstance(options, list)
    for option in options:
        ids = prompt + tiny.tokenizer.tokenizer.encode(option, add_special_tokens=False)
        log_probs = plain_logits(tiny, ids, vector, 4.0).log_softmax(dim=-1)[len(prompt) - 1 : -1]
        values.append(float(log_probs.gather(1, torch.tensor(ids[len(prompt) :])[:, None]).sum()))
    return int(values.index(max(values)) == item["answer_index"])


def test_a_baseline_of_other_questions_is_refused(tiny: LanguageModel, folder: Path) -> None:
    model = SteeredLM(tiny, batch_size=8)
    whole, some = (Questions(KnowledgeConfig(tasks=["culture_mcq_nepal"], limit=limit), folder) for limit in (None, 2))
    plain = Questions(KnowledgeConfig(tasks=["culture_mcq_nepal"], chat_template=False), folder)
    before = whole.ask(model)
    for other in (some, plain):
        with pytest.raises(YapoError, match="asked other questions; run the stage knowledge_baseline again"):
            check_same_questions(other.ask(model), before)


def asked_as_group(tiny: LanguageModel, folder: Path, made: Path, weight_by_size: bool) -> pd.DataFrame:
    """Both open-ended tasks under a group, which has one of two and one of three questions."""
    for path in folder.glob("*open_ended*.yaml"):
        lines = path.with_suffix(".jsonl").read_text("utf-8").splitlines()[: 3 if "nepal" in path.name else 2]
        short = made / path.with_suffix(".jsonl").name
        short.write_text("\n".join(lines), "utf-8")
        (made / path.name).write_text(path.read_text("utf-8").replace(str(path.with_suffix(".jsonl")), str(short)), "utf-8")
    names = "[culture_open_ended_egypt, culture_open_ended_nepal]"
    size = str(weight_by_size).lower()
    group = f"group: both\ntask: {names}\naggregate_metric_list: [{{metric: acc, weight_by_size: {size}}}]\n"
    (made / "both.yaml").write_text(group, "utf-8")
    model = SteeredLM(tiny, make_vector("dense", tiny), 8.0, batch_size=8)
    return Questions(KnowledgeConfig(tasks=["both"]), made).ask(model)


def test_a_group_is_the_questions_of_its_members(tiny: LanguageModel, folder: Path, tmp_path: Path) -> None:
    rows = asked_as_group(tiny, folder, tmp_path, weight_by_size=True)
    assert (len(rows), set(rows["questions"]), rows["n"].sum()) == (5, {"both"}, 5)
    assert rows["task"].value_counts().to_dict() == {"culture_open_ended_egypt": 2, "culture_open_ended_nepal": 3}


def test_a_score_that_is_no_mean_of_answers_keeps_lm_evals_error(tiny: LanguageModel, folder: Path, tmp_path: Path) -> None:
    """Tasks of two and three questions that count alike: the group's score is not the mean of five answers."""
    alone = asked_as_group(tiny, folder, tmp_path, weight_by_size=True).groupby("task")["value"].mean()
    assert alone.nunique() == 2
    (row,) = asked_as_group(tiny, folder, tmp_path, weight_by_size=False).to_dict("records")
    assert (row["questions"], row["question_id"], row["n"]) == ("both", "", 5)
    assert row["value"] == pytest.approx(alone.mean())
    assert row["stderr"] > 0


@pytest.mark.slow  # lm-eval reads the files of all its tasks
@pytest.mark.parametrize(("name", "near"), [("mmluu", "mmlu"), ("culture_mqc", "culture_mcq")])
def test_an_unknown_task_names_its_neighbours(folder: Path, name: str, near: str) -> None:
    with pytest.raises(YapoError, match=f"^knowledge.tasks={name}: unknown task; did you mean {near}, "):
        Questions(KnowledgeConfig(tasks=[name]), folder)


@pytest.mark.slow  # lm-eval reads the files of all its tasks
def test_every_task_that_is_offered_is_lm_evals_or_ours() -> None:
    known = set(TaskManager().all_tasks)
    for path in (ROOT / "conf" / "knowledge").glob("*.yaml"):
        tasks = yaml.safe_load(path.read_text("utf-8"))["tasks"]
        assert [name for name in tasks if name not in known and not name.startswith("culture_")] == [], path.name


def test_shots_of_the_config_reach_tasks_that_leave_them_open(folder: Path, tmp_path: Path) -> None:
    def shots(text: Callable[[str], str], num_fewshot: int | None) -> int:
        (tmp_path / "task.yaml").write_text(text((folder / "culture_mcq_nepal.yaml").read_text("utf-8")), "utf-8")
        questions = Questions(KnowledgeConfig(tasks=["culture_mcq_nepal"], num_fewshot=num_fewshot), tmp_path)
        return int(questions.loaded["tasks"]["culture_mcq_nepal"].get_config("num_fewshot"))

    assert shots(lambda text: text, 5) == 0
    assert shots(lambda text: text.replace("num_fewshot: 0\n", ""), None) == 0
    assert shots(lambda text: text.replace("num_fewshot: 0\n", ""), 5) == 5


HOSTILE = {
    "a function": ("task: t\ndoc_to_text: !function evil.run\n", "the tag !function runs code"),
    "a function, escaped": ("task: t\ndoc_to_text: !f%75nction evil.run\n", "the tag !function runs code"),
    "another tag": ("task: !run evil\n", "the tag !run runs code"),
    "a file from elsewhere": ("task: t\ninclude: ../evil.yaml\n", "include=../evil.yaml is outside"),
    "an absolute file": ("include: /evil.yaml\n", "include=/evil.yaml is outside"),
    "no yaml": ("task: [", "not a task file that can be read"),
    "no text": ("\x00", "not a task file that can be read"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_task_files_run_no_code(tmp_path: Path, name: str) -> None:
    text, said = HOSTILE[name]
    (tmp_path / "t.yaml").write_text(text)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef run(doc): return ''\n")
    for ask in (lambda: Questions(KnowledgeConfig(tasks=["t"]), tmp_path), lambda: main(["run", f"--include_path={tmp_path}"])):
        with pytest.raises(YapoError, match=said) as caught:
            ask()
        assert str(caught.value).startswith(str(tmp_path / "t.yaml")) and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["run", "--include_path", "nowhere", "--tasks", "culture_mcq"],
            "--include_path nowhere: .*run it first",
        ),
        (["run", "--include_path=nowhere"], "--include_path nowhere: no such folder"),
        (["run", "--trust_remote_code"], "--trust_remote_code: no code"),
        (["run", "--model_args", "pretrained=m,trust_remote_code=True"], "--trust_remote_code: no code"),
        (["run", "--confirm_run_unsafe_code"], "--confirm_run_unsafe_code: no code"),
    ],
)
def test_the_command_line_says_what_to_do(words: list[str], said: str) -> None:
    with pytest.raises(YapoError, match=said):
        main(words)


@pytest.mark.slow  # lm-eval reads the files of all its tasks
def test_a_task_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ["run", "--model", "yapo", "--include_path", str(tmp_path), "--tasks", "culture_mcq_nepal"]
    monkeypatch.setattr("sys.argv", ["knowledge", *words])
    with pytest.raises(YapoError, match=r"culture_mcq_nepal.*snakemake --cores 8 knowledge` writes .*run it first") as caught:
        main(words)
    assert "\n" not in str(caught.value)
