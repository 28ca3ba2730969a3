"""Completions kept by content, so that a change to one method generates only what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition, Decoder, Sampling
from yapo.evaluation.options import OptionAnswers
from yapo.files import digest, read_json, write_json
from yapo.models.language_model import LanguageModel


class CompletionCache:
    """Text of completions on disk, keyed by everything that decides them.

    The key covers the weights of model and SAE, the model's number type, the layer, the vector's bytes as displaced (λ
    included), the token ids of the prompts, and the length limit with the way samples are drawn, or the answers that are
    compared. Used as a context it saves itself; after an error with all it has, so that the next run goes on from there.
    """

    def __init__(self, path: Path, lm: LanguageModel, layer: int, batch_size: int) -> None:
        self.path, self.lm, self.layer, self.batch_size = path, lm, layer, batch_size
        self.decoder = Decoder(lm, batch_size)
        self.kept: dict[str, list[str]] = _read(path)
        self.used: dict[str, list[str]] = {}

    def complete(
        self,
        prompts: Sequence[list[int]],
        conditions: Sequence[Condition],
        max_new_tokens: int,
        sampling: Sampling | None = None,
    ) -> list[list[str]]:
        """Return decoded completions, ``[condition][prompt]``; generate those that are not kept.

        Samples depend on the place of a prompt among the others, and not on the other conditions.
        """

        def write(missing: Sequence[Condition]) -> list[list[str]]:
            # A sample depends on the place of its condition too: each is drawn as the only one.
            batches = [missing] if sampling is None else [[condition] for condition in missing]
            written = [
                completions
                for batch in batches
                for completions in self.decoder.complete(self.layer, prompts, batch, max_new_tokens, sampling)
            ]
            return [[self.lm.tokenizer.decode(ids) for ids in completions] for completions in written]

        way = max_new_tokens if sampling is None else f"{max_new_tokens} sampled at {sampling.temperature}, {sampling.seed}"
        return self._recalled([self._key(prompts, condition, way) for condition in conditions], conditions, write)

    def choose(self, options: OptionAnswers, conditions: Sequence[Condition]) -> list[list[str]]:
        """Return the text of the likeliest answer, ``[condition][question]``; measure those that are not kept."""

        def measure(missing: Sequence[Condition]) -> list[list[str]]:
            return options.choose(self.lm, self.layer, missing, self.batch_size)

        return self._recalled([self._key(options.key, condition, "likelihood") for condition in conditions], conditions, measure)

    def _recalled(
        self,
        keys: Sequence[str],
        conditions: Sequence[Condition],
        make: Callable[[Sequence[Condition]], list[list[str]]],
    ) -> list[list[str]]:
        """Return what is kept under each condition's key; make what is not."""
        known = self.kept | self.used
        missing = [i for i, key in enumerate(keys) if key not in known]
        if missing:
            known |= zip([keys[i] for i in missing], make([conditions[i] for i in missing]), strict=True)
        self.used |= {key: known[key] for key in keys}
        return [known[key] for key in keys]

    def save(self) -> None:
        """Write what was asked for since the cache was opened; the rest is dropped."""
        write_json(self.path, _sealed(self.used))

    def checkpoint(self) -> None:
        """Write everything, in the middle of work: an interrupted run loses nothing that this or an earlier one made."""
        write_json(self.path, _sealed(self.kept | self.used))

    def __enter__(self) -> CompletionCache:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.save()
        else:
            self.checkpoint()

    def _key(self, asked: object, condition: Condition, way: int | str) -> str:
        """Return the key of what was asked under a condition; ``way`` is the limit of a completion, or another way to answer."""
        steering: list[object] = []
        if condition.intervention is not None and condition.u is not None:
            values = hashlib.sha256(condition.u.to("cpu", torch.float32).contiguous().numpy().tobytes()).hexdigest()
            steering = [condition.intervention.digest, values, condition.steer_bos, self.layer]
        return digest([self.lm.digest, str(self.lm.dtype), steering, asked, way])


def _read(path: Path) -> dict[str, list[str]]:
    """Read what is kept, without damaged entries."""
    try:
        kept = read_json(path) if path.exists() else {}
    except YapoError:
        return {}
    entries = kept.items() if isinstance(kept, dict) else ()
    sealed = {key.partition(":")[0]: (key.partition(":")[2], texts) for key, texts in entries}
    return {
        key: texts
        for key, (seal, texts) in sealed.items()
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts) and seal == digest([key, texts])
    }


def _sealed(entries: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the entries under keys that carry a digest of what is kept, so that a damaged text is not taken for the model's."""
    return {f"{key}:{digest([key, texts])}": texts for key, texts in entries.items()}
