"""Cost of steering while a model writes: tokens a second with a vector and without, greedy, with KV cache.

python -m benchmarks.decoding [--quick]

Through transformers' ``generate`` inside ``yapo.steer``, as a user of a vector runs it, and through the engine, as the
evaluation does. Vectors: dense, sparse (10,000 touched features), and the same pruned to its 256 largest. Nothing ends early:
every row writes the same number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import measure, shapes
from yapo.evaluation.decoding import Condition, Decoder
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.spaces import SAESlice
from yapo.steering.steer import steer
from yapo.steering.vector import SteeringVector, VectorInfo

TOUCHED, PRUNED = 10_000, 256
STRENGTH = 8.0  # of a vector's entries: more than the residual stream of these random models has, so that the words change


def sparse_values(sae: SAE, touched: int, seed: int) -> Tensor:
    """A vector over the autoencoder of which ``touched`` entries are not zero, ``[d_sae]`` on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(sae.d_sae, generator=generator)[:touched]
    return torch.zeros(sae.d_sae).index_copy(0, chosen, STRENGTH * torch.randn(len(chosen), generator=generator))


def pruned(values: Tensor, number: int) -> Tensor:
    """The same vector with all but its largest entries set to 0."""
    kept = values.abs().topk(number).indices
    return torch.zeros_like(values).index_copy(0, kept, values[kept])


def portable(values: Tensor, sae: SAE, layer: int) -> SteeringVector:
    """A vector file's content, carrying the features that it touches."""
    features = values.nonzero()[:, 0].to(sae.W_dec.device)
    carried = SAESlice(features, sae.columns(features))
    return SteeringVector(values[features.cpu()], VectorInfo("yapo", "sparse", layer, sae.source, ""), carried)


def vectors(setup: shapes.Setup, seed: int) -> dict[str, tuple[SteeringVector, Intervention, Tensor]]:
    """Name -> the vector as ``steer`` takes it, and as the engine does: narrowed once, which pays for many prompts."""
    sae, layer = setup.sae, setup.shape.layer
    dense = STRENGTH * torch.randn(sae.d_model, generator=torch.Generator().manual_seed(seed))
    touched = min(TOUCHED, sae.d_sae // 2)
    wide = sparse_values(sae, touched, seed)
    narrow = pruned(wide, min(PRUNED, touched // 4))
    found: dict[str, tuple[SteeringVector, Intervention, Tensor]] = {
        "dense": (SteeringVector(dense, VectorInfo("bipo", "dense", layer, sae.source, "")), Dense(sae.d_model), dense)
    }
    for values in (wide, narrow):
        narrowed, u = Sparse(sae).restrict(values[None].to(sae.W_dec.device))
        found[f"sparse, {u.shape[1]:,} features"] = (portable(values, sae, layer), narrowed, u[0])
    return found


def by_generate(setup: shapes.Setup, ids: Tensor, tokens: int, vector: SteeringVector | None) -> Tensor:
    """New tokens of every row, ``[rows, tokens]``, by transformers' own loop."""
    model = setup.lm.model

    def run() -> Tensor:
        mask = torch.ones_like(ids)
        return torch.as_tensor(model.generate(ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, use_cache=True))

    with torch.inference_mode():
        if vector is None:
            return run()[:, ids.shape[1] :]
        with steer(model, vector):
            return run()[:, ids.shape[1] :]


def by_engine(setup: shapes.Setup, ids: Tensor, tokens: int, condition: Condition) -> Tensor:
    """The same by our own engine."""
    (written,) = Decoder(setup.lm, len(ids)).complete(setup.shape.layer, ids.tolist(), [condition], tokens)
    return torch.tensor(written)


def measure_shape(setup: shapes.Setup, rows: int, prompt: int, tokens: int, repeats: int, report: measure.Report) -> None:
    """Rows of one shape: each vector against none, by both ways to write.

    Args:
        setup: model and autoencoder; the end of the turn is taken away from both ways to write, so that no row ends.
        rows: prompts of one batch.
        prompt, tokens: tokens read and written by each row.
        repeats: turns.
        report: receives the rows.
    """
    lm = setup.lm
    lm.tokenizer.end_of_turn, lm.tokenizer.eos, lm.model.generation_config.eos_token_id = -1, frozenset(), None
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(shapes.FIRST_ID, setup.shape.vocabulary, (rows, prompt), generator=generator)
    ids[:, 0] = 2
    ids = ids.to(lm.device)
    steered = vectors(setup, 0)
    written: dict[tuple[str, str], Tensor] = {}

    def run(way: str, name: str) -> Callable[[int], None]:
        vector, intervention, u = steered.get(name, (None, None, None))

        def once(_turn: int) -> None:
            if way == "generate":
                written[way, name] = by_generate(setup, ids, tokens, vector)
            else:
                written[way, name] = by_engine(setup, ids, tokens, Condition(intervention, u))

        return once

    for way in ("generate", "engine"):
        times = measure.take_turns({name: run(way, name) for name in ("none", *steered)}, repeats, lm.device)
        for name in times:
            by_turn = measure.ratios(times[name], times["none"])
            report.add(
                "greedy decoding",
                {
                    "shape": setup.shape.name,
                    "by": way,
                    "vector": name,
                    "tokens/s": rows * tokens / measure.median(times[name]),
                    "overhead, %": 100 * (measure.median(by_turn) - 1),
                    "quartiles of time / unsteered time": measure.quartiles(by_turn),
                },
            )
    for name in ("none", *steered):
        one, two = written["generate", name].cpu(), written["engine", name]
        report.add(
            "tokens written",
            {
                "shape": setup.shape.name,
                "vector": name,
                "same in both ways, first token, %": 100 * float((one[:, 0] == two[:, 0]).float().mean()),
                "all, %": 100 * float((one == two).float().mean()),
                "changed by steering, %": 100 * float((two != written["engine", "none"]).float().mean()),
            },
        )


def main() -> None:
    """Run the shapes asked for."""
    options = measure.options("tokens a second, steered and not", ["gemma2-2b"], ["small"])
    # On a CPU the prompt is BOS alone: torch takes seconds for the head in bfloat16 after ``generate`` has sliced the last of
    # several tokens, whatever the steering, and would hide what is asked for here.
    rows, prompt, tokens, repeats = (2, 16, 6, 2) if options.quick else (1, 1, 8, 5)
    if options.device.type == "cuda" and not options.quick:
        rows, prompt, tokens, repeats = 8, 128, 64, 7
    settings: dict[str, measure.Cell] = {"rows": rows, "prompt tokens": prompt, "new tokens": tokens, "seed": options.seed}
    report = measure.Report("decoding", settings)
    for name in options.shapes:
        shape = shapes.SHAPES[name]
        extra = 4.0 * 65536 * shape.d_model  # the features of the vectors, beside the autoencoder
        if reason := shapes.why_not(shape, options.device, extra):
            report.skip(f"{reason}; 100m instead")
            shape = shapes.SHAPES["100m"]
        measure_shape(shapes.make(shape, options.device, 16, options.seed), rows, prompt, tokens, repeats, report)
    report.finish(options)


if __name__ == "__main__":
    main()
