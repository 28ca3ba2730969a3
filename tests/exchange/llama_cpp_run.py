"""Greedy generation by llama.cpp, with a control vector from a file."""

from __future__ import annotations

from ctypes import POINTER, c_float
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

FLOAT32 = 0  # number of the type in ggml


class LlamaCpp:
    """A model in float32, with its cache in float32 too."""

    def __init__(self, path: Path) -> None:
        self.llama = llama_cpp.Llama(
            str(path),
            n_ctx=256,
            logits_all=True,
            type_k=FLOAT32,
            type_v=FLOAT32,
            flash_attn=False,
            n_threads=1,
            n_threads_batch=1,
            verbose=False,
        )

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(self, *_error: object) -> None:
        self.llama.close()

    def steer(self, path: Path) -> None:
        """Apply a control vector as ``common_control_vector_load`` reads it: direction.N goes to place N - 1, others are 0."""
        reader = gguf.GGUFReader(path)
        width, layers = self.llama.n_embd(), llama_cpp.llama_model_n_layer(self.llama._model.model)
        data = np.zeros((layers - 1, width), dtype=np.float32)
        for tensor in reader.tensors:
            layer = int(tensor.name.removeprefix("direction."))
            assert layer > 0 and tensor.tensor_type.name == "F32" and tensor.data.shape == (width,)
            data[layer - 1] += tensor.data
        pointer = data.ctypes.data_as(POINTER(c_float))
        done = llama_cpp.llama_set_adapter_cvec(self.llama._ctx.ctx, pointer, data.size, width, 1, layers)
        assert done == 0

    def greedy(self, prompt: list[int], new_tokens: int) -> list[int]:
        """The most likely continuation, one token at a time with the cache."""
        self.llama.reset()
        self.llama.eval(prompt)
        answer: list[int] = []
        while len(answer) < new_tokens:
            answer.append(int(self.llama.scores[self.llama.n_tokens - 1].argmax()))
            self.llama.eval(answer[-1:])
        return answer
