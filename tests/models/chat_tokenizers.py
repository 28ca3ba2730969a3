"""Small real tokenizers of the kinds that models come with, trained in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "What is a typical breakfast in Egypt? Foul and taameya, with bread.",
    "USER: ASSISTANT: [INST] [/INST] <|user|> <|assistant|> system user assistant model",
    "ما هو الفطور؟ فول وطعمية",
    "आलू पराठा और दही",
    "\\boxed{3} 1. 2. 3. 'quoted' </b> <|x|> ### one two three Z",
] * 3

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + CLOSE }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + CLOSE }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
VICUNA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ 'USER: ' + m.content + ' ' }}"
    "{% else %}{{ 'ASSISTANT: ' + m.content + CLOSE }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


@dataclass(frozen=True)
class Kind:
    """A tokenizer and its template.

    Attributes:
        spelling: "bytes" (byte-level BPE), "first" and "always" (BPE and unigram on ▁, which stands before a whole text, or
            before every stretch between special tokens), "replace" (▁ for each space and nothing more).
        template: the chat template; CLOSE in it is ``close``.
        eos: what the tokenizer calls the end.
        end: the token that closes a turn.
        special: other control tokens.
        close: what the template writes behind an answer.
        bos: whether the tokenizer has one.
    """

    spelling: str
    template: str
    eos: str
    end: str
    special: tuple[str, ...] = ()
    close: str = "eos_token"
    bos: bool = True


HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
KINDS = {
    "chatml": Kind("bytes", CHATML, "<|im_end|>", "<|im_end|>", ("<|im_start|>", "<|im_end|>", "<|endoftext|>"), bos=False),
    "chatml, another eos": Kind("bytes", CHATML, "<|endoftext|>", "<|im_end|>", ("<|im_start|>", "<|im_end|>"), bos=False),
    "llama 3": Kind("bytes", LLAMA3, "<|end_of_text|>", "<|eot_id|>", HEADERS),
    "gemma": Kind("replace", GEMMA, "<eos>", "<end_of_turn>", ("<start_of_turn>", "<end_of_turn>")),
    "chatml on ▁": Kind("first", CHATML, "<|im_end|>", "<|im_end|>", ("<|im_start|>", "<|im_end|>")),
    "chatml on ▁ everywhere": Kind("always", CHATML, "<|im_end|>", "<|im_end|>", ("<|im_start|>", "<|im_end|>")),
    "mistral": Kind("first", MISTRAL, "</s>", "</s>"),
    "mistral, a space before eos": Kind("first", MISTRAL, "</s>", "</s>", close="' ' + eos_token"),
    "zephyr": Kind("first", ZEPHYR, "</s>", "</s>", close="eos_token + '\n'"),
    "zephyr, ▁ everywhere": Kind("always", ZEPHYR, "</s>", "</s>", close="eos_token + '\n'"),
    "zephyr, a line break before eos": Kind("first", ZEPHYR, "</s>", "</s>", close="'\n' + eos_token + '\n'"),
    "zephyr in bytes, a space before eos": Kind("bytes", ZEPHYR, "</s>", "</s>", close="' ' + eos_token + '\n'"),
    "vicuna": Kind("first", VICUNA, "</s>", "</s>"),
    "vicuna in bytes": Kind("bytes", VICUNA, "</s>", "</s>", close="' ' + eos_token"),
}


def make(kind: Kind) -> PreTrainedTokenizerFast:
    """Train the tokenizer of a kind."""
    special = [*(["<bos>"] if kind.bos else []), kind.eos, "<pad>", "<unk>", *kind.special]
    if kind.spelling == "always":
        model, trainer = models.Unigram(), trainers.UnigramTrainer
    else:
        model, trainer = models.BPE(byte_fallback=kind.spelling != "bytes"), trainers.BpeTrainer
    tokenizer = Tokenizer(model)
    settings = {"vocab_size": 900, "special_tokens": special, "show_progress": False}
    if kind.spelling == "always":
        settings["unk_token"] = "<unk>"
    if kind.spelling == "bytes":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder, settings["initial_alphabet"] = decoders.ByteLevel(), pre_tokenizers.ByteLevel.alphabet()
    elif kind.spelling == "replace":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind.spelling)
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=kind.spelling)])
    if kind.spelling != "bytes":
        settings["initial_alphabet"] = list("\n▁" + "".join(sorted(set("".join(CORPUS)))))
    tokenizer.train_from_iterator(CORPUS, trainer(**settings))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>" if kind.bos else None, eos_token=kind.eos, pad_token="<pad>"
    )
    made.chat_template, made.name_or_path = kind.template.replace("CLOSE", kind.close), "owner/tiny"
    return made
