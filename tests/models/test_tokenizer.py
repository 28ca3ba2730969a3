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
