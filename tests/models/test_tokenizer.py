"""Chat prompts and answers as token ids, and tokenizers that are refused."""

from __future__ import annotations

import sys

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from yapo.errors import YapoError
from yapo.models.tokenizer import ChatTokenizer

from .chat_tokenizers import CHATML, KINDS, Kind, make


def test_one_bos_and_no_leading_none(tokenizer: ChatTokenizer) -> None:
    ids = tokenizer.prompt("What is a typical breakfast?")
    assert ids.count(tokenizer.tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.tokenizer.bos_token_id
    assert "None" not in tokenizer.tokenizer.decode(ids)


def test_training_text_is_what_evaluation_continues(tokenizer: ChatTokenizer) -> None:
    """prompt + response is exactly the chat template's own rendering of the two turns."""
    chat = [{"role": "user", "content": "ما هو الفطور؟"}, {"role": "assistant", "content": "فول وطعمية"}]
    rendered = tokenizer.tokenizer.apply_chat_template(chat, tokenize=False)
    ours = tokenizer.prompt("ما هو الفطور؟") + tokenizer.response("فول وطعمية")
    assert rendered.startswith(tokenizer.tokenizer.decode(ours))


@pytest.mark.parametrize("text", ["Fry-up with beans", "आलू पराठा और दही", "مسمن وبغرير", "\\boxed{3}"])
def test_response_decodes_to_itself(tokenizer: ChatTokenizer, text: str) -> None:
    assert tokenizer.decode([*tokenizer.response(text), 7, 7]) == text


def test_messages_have_the_roles_that_the_template_takes() -> None:
    made = make(KINDS["chatml"])
    messages = [("system", "Be brief."), ("user", "What?"), ("assistant", "Bread."), ("user", "And then?")]
    chat = [{"role": role, "content": text} for role, text in messages]
    wanted = made.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ChatTokenizer(made).chat(messages) == wanted


def test_a_text_that_is_no_chat_has_one_bos() -> None:
    """Put the first token before a text once, also where the text has it already."""
    made = make(KINDS["mistral"])
    bos = made.bos_token_id
    made.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
    tokenizer = ChatTokenizer(made)
    plain = made.encode("one two", add_special_tokens=False)
    assert tokenizer.text("one two") == [bos, *plain]
    assert tokenizer.text("<bos>one two").count(bos) == 1
    assert ChatTokenizer(make(KINDS["mistral"])).text("one two") == plain


def test_a_tokenizer_without_chat_template_is_refused(tokenizer: ChatTokenizer) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.tokenizer.backend_tokenizer, pad_token="<pad>")
    with pytest.raises(YapoError, match="no chat template"):
        ChatTokenizer(bare)


def with_template(tokenizer: ChatTokenizer, template: str) -> PreTrainedTokenizerFast:
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer.tokenizer.backend_tokenizer, pad_token="<pad>")
    made.name_or_path, made.chat_template = "owner/tiny", template
    return made


TURNS = "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('one role only') }}", r"the chat template refuses the roles user, assistant \(one role only\)"),
        ("{{ messages[0].content.no.such }}", "the chat template refuses the roles user, assistant"),
        ("{{ messages[0].content }}", "the chat template leaves out the model's turn"),
        ("{{ messages[-1].content }}", "the chat template does not close the model's turn"),
    ],
)
def test_templates_that_cannot_be_used(tokenizer: ChatTokenizer, template: str, message: str) -> None:
    with pytest.raises(YapoError, match=f"^owner/tiny: {message}.*; use an instruction-tuned model$"):
        ChatTokenizer(with_template(tokenizer, template))


def test_no_thinking_and_no_date_of_today(tokenizer: ChatTokenizer) -> None:
    """The ways in which Qwen 3's and Llama 3's templates ask."""
    template = (
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}Today: {{ date_string }}\n"
        "{{ strftime_now('%Y-%m-%d %H:%M:%S') }}\n"
        + TURNS
        + "{% if add_generation_prompt %}<start_of_turn>model\n"
        + "{% if enable_thinking is defined and enable_thinking is false %}no thoughts{% endif %}{% endif %}"
    )
    chat = ChatTokenizer(with_template(tokenizer, template))
    written = chat.tokenizer.decode(chat.prompt("foul"))
    assert "26 Jul 2024\n2024-07-26 00:00:00" in written
    assert written.endswith("no thoughts")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[Kind, ChatTokenizer]:
    return KINDS[request.param], ChatTokenizer(make(KINDS[request.param]))


TEXTS = ["Foul and taameya", "فول وطعمية", "आलू पराठा", "\\boxed{3}", "one two\n\nthree", "", "'quoted'", "3. Foul ", "</b> <|x|>"]


def rendered(chat: ChatTokenizer, question: str, answer: str) -> list[int]:
    """The template's own rendering of two turns."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    written = chat.tokenizer.apply_chat_template(turns, tokenize=False)
    return list(chat.tokenizer.encode(written, add_special_tokens=False))


def test_prompt_and_response_are_the_rendering_of_both(kind: tuple[Kind, ChatTokenizer]) -> None:
    shape, chat = kind
    for text in TEXTS:
        joint = rendered(chat, "What is a typical breakfast?", text)
        ours = chat.prompt("What is a typical breakfast?") + chat.response(text)
        assert ours == joint[: len(ours)], text
        assert ours[-1] == chat.end_of_turn == chat.tokenizer.convert_tokens_to_ids(shape.end)
        assert ours.count(chat.tokenizer.bos_token_id) == ("bos_token" in shape.template)
        assert chat.tokenizer.decode(joint[len(ours) :]).strip() == ""


def test_what_a_model_answers_is_read_up_to_the_end(kind: tuple[Kind, ChatTokenizer]) -> None:
    shape, chat = kind
    assert chat.ends == {chat.end_of_turn, chat.tokenizer.convert_tokens_to_ids(shape.eos)}
    known = [text for text in TEXTS if shape.spelling != "always" or text in TEXTS[:4]]  # unigrams have no bytes
    for text in known:
        assert chat.decode([*chat.response(text), 40, 41]) == text.strip()
        for end in chat.ends:
            assert chat.decode([*chat.response(text)[:-1], end, 40, 41]) == text.strip()


def test_the_template_is_found_in_a_conversation(kind: tuple[Kind, ChatTokenizer]) -> None:
    """Answers begin where a prompt ends, and what is left without the template is what was said."""
    _, chat = kind
    for turns in (["What is foul?"], ["What is foul?", "beans", "And bread?"]):
        ids = torch.tensor([chat.conversation(turns)])
        real = torch.ones_like(ids, dtype=torch.bool)
        assert chat.template.answer_starts(ids, real).tolist() == [ids.shape[1]]
        said = chat.tokenizer.decode(ids[0][chat.template.content(ids)[0]])
        assert said.replace(" ", "") == "".join(turns).replace(" ", "")


def test_a_long_conversation_is_within_the_steps_of_a_template(kind: tuple[Kind, ChatTokenizer]) -> None:
    _, chat = kind
    turns, before = [f"turn {n}" for n in range(1001)], sys.gettrace()
    assert len(chat.conversation(turns)) > 2 * len(turns)
    assert sys.gettrace() is before


def test_a_template_that_never_opens_the_models_turn() -> None:
    """It ignores ``add_generation_prompt``: the header that stands before an answer is the prompt's, and no answer's."""
    whole, made = ChatTokenizer(make(KINDS["chatml"])), make(KINDS["chatml"])
    made.chat_template = CHATML.partition("{% if add")[0]
    without = ChatTokenizer(made)
    assert without.prompt("foul?") == whole.prompt("foul?")
    assert without.response("beans") == whole.response("beans")
    assert without.template == whole.template


def test_a_turn_that_no_control_token_closes() -> None:
    """The first token of the closing that is more than white space; generation stops at the tokenizer's end too."""
    made = make(KINDS["zephyr"])
    made.chat_template = "{% for m in messages %}{{ '### ' + m.role + ': ' + m.content + ' ###\n' }}{% endfor %}"
    chat = ChatTokenizer(made)
    assert chat.tokenizer.decode([chat.end_of_turn]).strip() == "###"[: len(chat.tokenizer.decode([chat.end_of_turn]).strip())]
    assert made.eos_token_id in chat.ends
    assert chat.response("beans")[-1] == chat.end_of_turn


def test_several_templates_without_a_default() -> None:
    made = make(KINDS["zephyr"])
    made.chat_template = {"tools": CHATML, "rag": CHATML}
    with pytest.raises(YapoError, match=r"^owner/tiny: the chat template refuses the roles user, assistant \(.*default.*\); use"):
        ChatTokenizer(made)
