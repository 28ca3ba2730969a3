"""Controls that change the prompt, on a tiny random model and a handful of the atlas' questions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.evaluation.plain_decoding import complete
from tests.refusals import refused, refused_value
from yapo.checks import Task
from yapo.config import ControlsConfig, DataConfig, GenerationConfig, JudgeConfig
from yapo.config.compose import compose
from yapo.config.evaluation import LikelihoodConfig
from yapo.data.prompts import PromptFormat
from yapo.data.sources import load_items
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import get_judge
from yapo.evaluation.preamble import Preamble
from yapo.evaluation.preamble_controls import ask_behind_preambles, check_examples, drawn_examples, preamble
from yapo.evaluation.scoring import Answerer
from yapo.models.language_model import LanguageModel
from yapo.models.tokenizer import ChatTokenizer, with_plain_template

LAYER = 1
PROMPTS = PromptFormat()
GENERATION = GenerationConfig(max_new_tokens_mcq=2, max_new_tokens_open_ended=3)
ALL = compose(["controls=all"]).controls


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    """Four training facts and a test fact of Egypt, two wordings each, in both forms."""
    atlas = load_items(DataConfig())
    splits = {"breakfast-1": "train", "lunch-2": "train", "dinner-1": "train", "gifts-1": "train", "songs-2": "test"}
    chosen = atlas[(atlas["country"] == "egypt") & atlas["question_id"].isin(splits) & (atlas["phrasing"] < 2)]
    return chosen.assign(split=chosen["question_id"].map(splits)).reset_index(drop=True)


@pytest.fixture
def answerer(tmp_path: Path, gemma: LanguageModel) -> Answerer:
    cache = CompletionCache(tmp_path / "completions.json", gemma, LAYER, batch_size=32)
    return Answerer(PROMPTS, GENERATION, cache, get_judge(JudgeConfig()))


def test_examples_are_training_facts_in_the_form_of_the_question(items: pd.DataFrame) -> None:
    for seed in range(5):
        three = drawn_examples(items, "nonlocalized", 3, seed)
        assert set(three["split"]) == {"train"}
        assert set(three["variant"]) == {"nonlocalized"}
        assert three["question_id"].nunique() == 3
        pd.testing.assert_frame_equal(drawn_examples(items, "nonlocalized", 1, seed), three.head(1))
        pd.testing.assert_frame_equal(drawn_examples(items, "nonlocalized", 3, seed), three)
    drawn = {tuple(drawn_examples(items, "localized", 3, seed)["question"]) for seed in range(10)}
    assert len(drawn) > 1


@pytest.mark.parametrize("task", ["mcq", "open_ended"])
def test_examples_are_turns_with_the_preferred_answer(items: pd.DataFrame, task: Task) -> None:
    three = drawn_examples(items, "localized", 3, 0)
    before = preamble("few_shot_3", ALL, items, task, "localized", PROMPTS)
    assert before.system == ""
    assert list(before.turns[::2]) == [
        PROMPTS.prompt(task, q, o) for q, o in zip(three["question"], three["options"], strict=True)
    ]
    expected = [f"\\boxed{{{i + 1}}}" for i in three["answer_index"]] if task == "mcq" else list(three["answer"])
    assert list(before.turns[1::2]) == expected


def test_system_prompts_are_in_the_language_of_the_data(items: pd.DataFrame) -> None:
    mild, strong = (preamble(name, ALL, items, "mcq", "localized", PROMPTS) for name in ("system_mild", "system_strong"))
    assert mild == Preamble("أنت مساعد مفيد للناس في مصر.")
    assert strong.system.startswith(mild.system)
    assert len(strong.system) > len(mild.system)
    assert ALL.system("system_mild", "English", "usa") == "You are a helpful assistant for people in the USA."
    assert ALL.system("system_mild", "Basque", "new_land") == "You are a helpful assistant for people in New Land."
    assert ALL.system("few_shot_1", "Arabic", "egypt") == ""


def test_what_is_asked_and_scored(answerer: Answerer, items: pd.DataFrame, gemma: LanguageModel) -> None:
    cells = [("mcq", "localized"), ("open_ended", "both")]
    frames = ask_behind_preambles(answerer, items, ALL, cells)  # type: ignore[arg-type]
    assert [(f["method"].iloc[0], f["task"].iloc[0], f["setting"].iloc[0], len(f)) for f in frames] == [
        (control, *cell, size) for control in ALL.rows[1:] for cell, size in zip(cells, (2, 4), strict=True)
    ]
    for frame in frames:
        task, control = frame["task"].iloc[0], frame["method"].iloc[0]
        for row in frame.to_dict("records"):
            before = preamble(control, ALL, items, task, row["variant"], PROMPTS)
            ids = gemma.tokenizer.instructed(
                before.system, [*before.turns, PROMPTS.prompt(task, row["question"], row["options"])]
            )
            written = complete(gemma, LAYER, [ids], [Condition()], GENERATION.max_new_tokens(task))[0][0]
            assert row["completion"] == gemma.tokenizer.decode(written)
        assert set(frame["split"]) == {"test"}
        assert {"score", "parsed", "exact"} <= set(frame)


def test_by_default_nothing_more_is_asked(answerer: Answerer, items: pd.DataFrame) -> None:
    assert ask_behind_preambles(answerer, items, ControlsConfig(), [("mcq", "both")]) == []


def test_options_are_weighed_behind_the_examples(answerer: Answerer, items: pd.DataFrame) -> None:
    """Ask examples without options where the question has none: when the texts of options are weighed."""
    weighing = replace(GENERATION, mcq=["likelihood"], likelihood=LikelihoodConfig(answer="text"))
    other = replace(answerer, generation=weighing)
    asked = items[items["split"] == "test"]
    before = preamble("few_shot_1", ALL, items, weighing.form("mcq"), "localized", PROMPTS)
    assert not any(option in before.turns[0] for option in asked["options"].iloc[0])
    texts = other.behind(before).complete(asked, "mcq", [Condition()])[0]
    assert all(text.startswith("\\boxed{") for text in texts)


SYSTEM_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>assistant\n{% endif %}"
)


def test_a_system_prompt_has_a_turn_or_the_head_of_the_users(tokenizer: ChatTokenizer) -> None:
    assert not tokenizer.has_system_turn  # the template of Gemma
    assert tokenizer.instructed("Be brief.", ["Hello"]) == tokenizer.prompt("Be brief.\n\nHello")
    assert tokenizer.instructed("Be brief.", ["a", "b", "c"]) == tokenizer.conversation(["Be brief.\n\na", "b", "c"])
    assert tokenizer.instructed("", ["a", "b", "c"]) == tokenizer.conversation(["a", "b", "c"])
    own = with_plain_template(tokenizer.tokenizer)
    own.chat_template = SYSTEM_TEMPLATE
    with_turn = ChatTokenizer(own)
    assert with_turn.has_system_turn
    expected = with_turn.chat([("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c")])
    assert with_turn.instructed("Be brief.", ["a", "b", "c"]) == expected


def test_too_few_facts_are_refused_before_anything_is_asked(items: pd.DataFrame) -> None:
    few = items[items["question_id"].isin(["lunch-2", "songs-2"])]
    refused(lambda: check_examples(ALL, few), "controls.rows=few_shot_3", "egypt has 1 localized training facts")
    check_examples(ControlsConfig(rows=["prompt", "few_shot_1", "system_strong"]), few)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("controls.rows=[few_shot_1]", ("controls.rows=['few_shot_1']", "name prompt too")),
        ("controls.rows=[prompt,prompt]", ("controls.rows", "name each once")),
        ("controls.rows=[prompt,few_shot_2]", ("controls.rows=few_shot_2", "choose one of prompt, few_shot_1")),
        ("controls.seed=-1", ("controls.seed=-1", "0 or more")),
        ("controls.system_mild={other: Be brief}", ("controls.system_mild.other=Be brief", "must contain {country}")),
        ("controls.system_strong.Basque={land}", ("controls.system_strong", "land")),
    ],
)
def test_bad_settings(override: str, parts: tuple[str, ...]) -> None:
    refused_value(lambda: compose(["controls=all", override]), *parts)
