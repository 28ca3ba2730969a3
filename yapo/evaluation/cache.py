"""Completions kept by content, so that a change to one method generates only what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition, Decoder
from yapo.files import digest, read_json, write_json
from yapo.models.language_model import LanguageModel

BATCHES = 4  # between two saves of unsteered completions


class CompletionCache:
    """Text of completions on disk, keyed by everything that decides them.

    The key covers the weights of model and SAE, the model's number type, the layer, the vector's bytes as displaced (λ
    included), the token ids of the prompts, and the length limit. Used as a context it saves itself; after an
    error with all it has, so that the next run goes on from there.
    """

    def __init__(self, path: Path, lm: LanguageModel, layer: int, batch_size: int) -> None:
        self.path, self.lm, self.layer, self.batch_size = path, lm, layer, batch_size
        self.decoder = Decoder(lm, batch_size)
        self.kept: dict[str, list[str]] = _read(path)
        self.used: dict[str, list[str]] = {}

    def complete(self, prompts: Sequence[list[int]], conditions: Sequence[Condition], max_new_tokens: int) -> list[list[str]]:
        """Return decoded completions, ``[condition][prompt]``; generate those that are not kept."""
        keys = [self._key(prompts, condition, max_new_tokens) for condition in conditions]
        known = self.kept | self.used
        missing = [i for i, key in enumerate(keys) if key not in known]
        if missing:
            asked = [conditions[i] for i in missing]
            written = self.decoder.complete(self.layer, prompts, asked, max_new_tokens)
            for i, completions in zip(missing, written, strict=True):
                known[keys[i]] = [self.lm.tokenizer.decode(ids) for ids in completions]
        self.used |= {key: known[key] for key in keys}
        return [known[key] for key in keys]

    def unsteered(self, prompts: Sequence[list[int]], max_new_tokens: int, title: str) -> list[str]:
        """Return the unsteered completions, saved as they come, so that an interrupted run goes on where it was.

        Args:
            prompts: token ids.
            max_new_tokens: length limit.
            title: of the progress bar.
        """
        written: list[str] = []
        size = BATCHES * self.batch_size
        for start in tqdm(range(0, len(prompts), size), desc=title, disable=None):
            written += self.complete(prompts[start : start + size], [Condition()], max_new_tokens)[0]
            self.checkpoint()
        return written

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

    def _key(self, prompts: Sequence[list[int]], condition: Condition, max_new_tokens: int) -> str:
        steering: list[object] = []
        if condition.intervention is not None and condition.u is not None:
            values = hashlib.sha256(condition.u.to("cpu", torch.float32).contiguous().numpy().tobytes()).hexdigest()
            steering = [condition.intervention.digest, values, condition.steer_bos, self.layer]
        return digest([self.lm.digest, str(self.lm.dtype), steering, list(map(list, prompts)), max_new_tokens])


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
