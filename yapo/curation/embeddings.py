"""Embeddings of short texts as rows of unit length: character n-grams, or a sentence-embedding model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array, issparse

from yapo.config.curation import DuplicatesConfig
from yapo.data.text import text_key
from yapo.errors import YapoError

Vectors: TypeAlias = npt.NDArray[np.float32] | csr_array
FEATURES = 2**18  # of the hashed n-grams: few of them collide, and no vocabulary has to be kept
ROWS = 256  # compared with all others at once


class Embedder(Protocol):
    """Turns texts into vectors of length 1."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text."""
        ...


class NgramEmbedder:
    """Hashed counts of character 2- to 4-grams within words (scikit-learn): close for texts that are spelled alike.

    The vector of a text depends on no other text. Scikit-learn hashes with a fixed seed, so it is the same everywhere.
    """

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See ``Embedder.embed``."""
        from sklearn.feature_extraction.text import HashingVectorizer

        hashing = HashingVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), n_features=FEATURES, lowercase=False, alternate_sign=False, dtype=np.float32
        )
        return csr_array(hashing.transform([text_key(text) for text in texts]))


class ModelEmbedder:
    """Mean of a transformer's last states over the tokens of a text, as sentence-embedding models are used.

    Nothing is downloaded, and weights are read from safetensors alone.

    Raises:
        YapoError: the folder, or the hub's cache, holds no such model.
    """

    def __init__(self, path: str, batch_size: int) -> None:
        from transformers import AutoModel, AutoTokenizer

        try:
            self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
            # Where peft is installed, transformers looks for an adapter too, and would ask the hub for it.
            local: dict[str, Any] = {"local_files_only": True, "adapter_kwargs": {"local_files_only": True}}
            self.model = AutoModel.from_pretrained(path, **local, use_safetensors=True).eval()
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise YapoError(
                f"curation.duplicates.model={path}: no sentence-embedding model there ({reason}); give its folder, or "
                "curation.duplicates.embedding=ngrams"
            ) from None
        self.batch_size = batch_size

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See ``Embedder.embed``."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), self.batch_size):
                batch = self.tokenizer(
                    list(texts[start : start + self.batch_size]), padding=True, truncation=True, return_tensors="pt"
                )
                states = self.model(**batch).last_hidden_state.float()
                kept = batch["attention_mask"].unsqueeze(-1)
                means = (states * kept).sum(1) / kept.sum(1).clamp(min=1)
                parts.append(torch.nn.functional.normalize(means, dim=1).numpy())
        return np.concatenate(parts)


def get_embedder(config: DuplicatesConfig) -> Embedder:
    """Return the configured embedder.

    Raises:
        YapoError: see ``ModelEmbedder``.
    """
    return NgramEmbedder() if config.embedding == "ngrams" else ModelEmbedder(config.model, config.batch_size)


def similarities(first: Vectors, second: Vectors) -> npt.NDArray[np.float32]:
    """Return the cosine similarity of each row with the same row of another matrix, ``[n]``."""
    product = first * second  # of sparse arrays too, element by element
    return np.asarray(product.sum(axis=1), dtype=np.float32).ravel()


def nearest_earlier(vectors: Vectors, least: float) -> Iterator[tuple[int, int, float]]:
    """Yield ``(i, j, similarity)`` for each row ``j`` with an earlier row ``i`` that is at least so alike: the one most alike.

    Of equally similar rows it is the first. ``ROWS`` rows are compared with all earlier ones at a time, so the memory taken grows
    with the number of rows, not with its square, however many of them are alike.

    Args:
        vectors: rows of length 1.
        least: cosine similarity, above 0.
    """
    for start in range(0, vectors.shape[0], ROWS):
        rows = vectors[start : start + ROWS]
        block = rows @ vectors[: start + rows.shape[0]].T
        found = coo_array(block if issparse(block) else np.where(block >= least, block, 0))
        near = (found.data >= least) & (found.coords[1] < found.coords[0] + start)
        later, earlier, values = found.coords[0][near], found.coords[1][near], found.data[near]
        order = np.lexsort((earlier, -values, later))
        for place in order[np.unique(later[order], return_index=True)[1]]:
            yield int(earlier[place]), start + int(later[place]), float(values[place])
