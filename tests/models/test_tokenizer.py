from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from yapo.errors import YapoError
from yapo.models.tokenizer import ChatTokenizer


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
        + TURNS
        + "{% if add_generation_prompt %}<start_of_turn>model\n"
        + "{% if enable_thinking is defined and enable_thinking is false %}no thoughts{% endif %}{% endif %}"
    )
    chat = ChatTokenizer(with_template(tokenizer, template))
    written = chat.tokenizer.decode(chat.prompt("foul"))
    assert "26 Jul 2024" in written
    assert written.endswith("no thoughts")
