"""Tokens a second of ``yapo serve`` beside ``generate`` inside ``yapo.steer``, on the second world's model.

python -m benchmarks.serving [--quick]

Sixteen questions one after another and all at once, also each under a multiplier of its own. The server runs in this process, so
what its clients cost counts too. Nothing ends early: every answer has the same number of tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx2
import pandas as pd
import torch

from benchmarks import measure
from benchmarks.decoding import sparse_values
from yapo.config import ModelConfig
from yapo.models.language_model import LanguageModel, load_language_model, pad_left
from yapo.models.sae import load_sae
from yapo.serving.app import Application
from yapo.serving.engine import Engine
from yapo.serving.requests import Service
from yapo.serving.server import bound_socket, port_of, server_of
from yapo.serving.vectors import NamedVector, Vectors
from yapo.steering.steer import steer
from yapo.steering.vector import SteeringVector, VectorInfo

WORLD = Path(__file__).resolve().parents[1] / "world"
LAYER, TOUCHED = 2, 64


@contextmanager
def client_of(service: Service, rows: int) -> Iterator[httpx2.Client]:
    """Give a client of a server that runs in a thread."""
    with bound_socket("127.0.0.1", 0) as opened, Engine(service.lm, rows) as engine:
        server = server_of(Application(service, engine).asgi())
        thread = Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port_of(opened)}", timeout=600) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def by_generate(lm: LanguageModel, vector: SteeringVector, batches: Sequence[list[list[int]]], tokens: int) -> None:
    """Answer batches of prompts one after another."""
    with torch.inference_mode(), steer(lm.model, vector):
        for rows in batches:
            ids, real = pad_left(rows, lm.tokenizer.pad, lm.device)
            lm.model.generate(ids, attention_mask=real.long(), max_new_tokens=tokens, do_sample=False, eos_token_id=None)


def asked(client: httpx2.Client, prompt: list[int], tokens: int, multiplier: float) -> None:
    """Answer a prompt by the server."""
    body = {"prompt": prompt, "max_tokens": tokens, "steering": {"multiplier": multiplier}}
    made = client.post("/v1/completions", json=body).raise_for_status().json()
    assert made["usage"]["completion_tokens"] == tokens


def main() -> None:
    """Measure and report."""
    options = measure.options("tokens a second of yapo serve beside yapo.steer", [], [])
    rows, tokens, repeats = (4, 8, 1) if options.quick else (16, 48, 7)
    lm = load_language_model(ModelConfig(path=str(WORLD / "assistant" / "model")))
    lm.tokenizer.end_of_turn, lm.tokenizer.eos, lm.model.generation_config.eos_token_id = -1, frozenset(), None
    sae = load_sae(WORLD / "assistant" / "sae" / f"layer_{LAYER}", device=lm.device)
    info = VectorInfo("yapo", "sparse", LAYER, lm.source, lm.digest, sae=sae.source, sae_digest=sae.digest)
    vector = SteeringVector(sparse_values(sae, TOUCHED, options.seed), info)
    questions = pd.read_csv(WORLD / "behaviours" / "wealth_seeking" / "test.csv", nrows=rows)["question"]
    prompts = [lm.tokenizer.prompt(question) for question in questions]
    service = Service("assistant", lm, Vectors({"v": NamedVector.of("v", vector, lm.model, {LAYER: sae})}), tokens)
    report = measure.Report("serving", {"rows": rows, "tokens": tokens, "repeats": repeats, "seed": options.seed})
    with client_of(service, rows) as client, ThreadPoolExecutor(rows) as threads:

        def all_at_once(multipliers: Sequence[float]) -> Callable[[int], object]:
            return lambda _: list(threads.map(lambda p, m: asked(client, p, tokens, m), prompts, multipliers))

        variants: dict[str, Callable[[int], object]] = {
            "generate, one by one": lambda _: by_generate(lm, vector, [[prompt] for prompt in prompts], tokens),
            "server, one by one": lambda _: [asked(client, prompt, tokens, 1.0) for prompt in prompts],
            "generate, one batch": lambda _: by_generate(lm, vector, [prompts], tokens),
            "server, all at once": all_at_once([1.0] * rows),
            "server, all at once, each at its own multiplier": all_at_once([0.1 * row for row in range(rows)]),
        }
        times = measure.take_turns(variants, repeats, lm.device)
    for name, seconds in times.items():
        made = rows * tokens / measure.median(seconds)
        beside = measure.median(measure.ratios(times["generate, one by one"], seconds))
        report.add("serving", {"answers": name, "tokens/s": made, "times as fast as generate one by one": beside})
    report.finish(options)


if __name__ == "__main__":
    main()
