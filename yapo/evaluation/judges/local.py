"""A Hugging Face chat model as judge, run here: greedy, in batches, with the same rubric, parser and cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from yapo.config import JudgeConfig, ModelConfig
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition, Decoder
from yapo.evaluation.judges.cached import CachedJudge, Grading
from yapo.evaluation.judges.rubric import CULTURE, Request, Rubric
from yapo.models.language_model import LanguageModel, load_language_model


class LocalJudge(CachedJudge):
    """Loads ``judge.model`` at once, into the memory that the steered model uses too.

    Replies are kept batch by batch. Greedy decoding would write an unreadable reply a second time, so it is not asked for.

    Raises:
        YapoError: the model cannot be loaded.
    """

    def __init__(self, config: JudgeConfig, rubric: Rubric = CULTURE) -> None:
        self.lm = _load(config)
        self.decoder = Decoder(self.lm, config.batch_size)
        decides = {"model": self.lm.digest, "dtype": config.dtype, "max_tokens": config.max_tokens}
        super().__init__(config, rubric, decides, system=False)  # not every chat template knows a system turn

    def _ask(self, wanted: Mapping[str, Request]) -> Iterator[Grading]:
        prompts = {key: self.lm.tokenizer.prompt(self.chat(request)[0]["content"]) for key, request in wanted.items()}
        order = sorted(prompts, key=lambda key: len(prompts[key]))  # rows of like length waste little on padding
        for start in range(0, len(order), self.config.batch_size):
            keys = order[start : start + self.config.batch_size]
            ids = [prompts[key] for key in keys]
            written = self.decoder.complete(0, ids, [Condition()], self.config.max_tokens)[0]
            for key, tokens in zip(keys, written, strict=True):
                reply = self.lm.tokenizer.decode(tokens)
                finish = "length" if len(tokens) >= self.config.max_tokens else ""
                yield Grading(key, self.cache.write(key, wanted[key], reply, len(prompts[key]), len(tokens), finish), 1)


def _load(config: JudgeConfig) -> LanguageModel:
    try:
        return load_language_model(ModelConfig(path=config.model, dtype=config.dtype, batch_size=config.batch_size))
    except YapoError as error:
        raise YapoError(f"judge.model={str(error).removeprefix('model.path=')}") from None
