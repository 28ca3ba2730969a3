"""Work of the stages of a study, counted from its shapes: operations, bytes read, blocks called.

Nothing here is measured or assumed about a machine; ``benchmarks.paper_runs`` does that. ``tests/test_paper_runs.py`` holds the
counts equal to what the code does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from benchmarks.paper_study import SPARSE, Lengths, Model, Study


@dataclass(frozen=True)
class Work:
    """Work of a part of a stage. Parts follow one another; within a part the slowest of these decides.

    Attributes:
        kind: "read" (prompts, pairs), "write" (token after token) or "train".
        flops, flops32: floating-point operations, two a multiply-add, in the model's number type and in float32.
        bytes: read from memory at least: weights and cached keys and values, for each step of decoding.
        calls: blocks run without gradient, and ``trained`` blocks run forward and backward.
    """

    kind: str
    flops: float = 0.0
    flops32: float = 0.0
    bytes: float = 0.0
    calls: float = 0.0
    trained: float = 0.0

    def times(self, number: float) -> Work:
        """So many of them."""
        values = (self.flops, self.flops32, self.bytes, self.calls, self.trained)
        return Work(self.kind, *(number * value for value in values))


def trials(epochs: int, multipliers: int) -> int:
    """Points of the validation grid of one vector: all epochs at λ = 1, then the other multipliers at the best one."""
    return epochs + multipliers - 1


def completions(study: Study) -> float:
    """Of ``evaluate``, for one country and task: the grid, the baseline, the control and the chosen vectors on test."""
    grid = sum(trials(epochs, study.multipliers) for epochs in study.epochs.values())
    validation = study.share(1) * (1 + study.asked * grid)
    return validation + study.share(2) * (1 + study.asked * (1 + len(study.epochs)))


def writing(study: Study, task: str, number: float, shared: float, sparse: float) -> list[Work]:
    """``number`` completions: their prompts, then one token after the other.

    Args:
        study: which.
        task: whose lengths.
        number: completions.
        shared: conditions that read a prompt together up to the steered layer.
        sparse: share of them that encode each token.
    """
    model, lengths = study.model, study.lengths[task]
    below, above = (study.layer + 1) * model.block, (model.layers - study.layer - 1) * model.block
    passes = number / study.per_pass
    encode = 2 * model.d_model * study.sae.d_sae
    per_prompt = 2 * lengths.prompt * (above + below / shared) + attention(model, lengths.prompt)
    prompts = Work(
        "read",
        flops=number * (per_prompt + 2 * model.head),
        flops32=number / shared * lengths.prompt * encode * (sparse > 0),
        calls=passes * model.layers,
    )
    steps = passes * (lengths.longest - 1)
    held = study.per_pass * lengths.written / lengths.longest * (lengths.prompt + lengths.written / 2) * model.cache
    read = (model.layers * model.block + model.head) * model.itemsize
    tokens = Work(
        "write",
        flops=number * (lengths.written - 1) * 2 * (model.layers * model.block + model.head),
        flops32=number * (lengths.written - 1) * encode * sparse,
        bytes=steps * (read + held + sparse * 4 * model.d_model * study.sae.d_sae),
        calls=steps * model.layers,
    )
    return [prompts, tokens]


def attention(model: Model, tokens: float) -> float:
    """Operations of scores and their use, all blocks, one row under a causal mask."""
    return model.layers * 4 * model.heads * model.head_dim * tokens * (tokens + 1) / 2


def seen(lengths: Lengths) -> float:
    """Pairs of tokens of which one reads the other, in one row: the rejected answer does not read the chosen one."""
    p, c, r = lengths.prompt, lengths.chosen - 1, lengths.rejected - 1
    return (p + c + r) * (p + c + r + 1) / 2 - c * r


def read_pairs(lengths: Lengths) -> float:
    """The same for the tokens that predict an answer."""
    p, c, r = lengths.prompt, lengths.chosen - 1, lengths.rejected - 1
    return p + sum(n * p + n * (n + 1) / 2 for n in (c, r))


def upper(model: Model, layer: int, lengths: Lengths, backward: bool) -> Work:
    """One pair through the blocks above ``layer`` and the head; the last block only where an answer is predicted."""
    full = model.layers - layer - 2
    keys = 2 * model.d_model * model.kv_heads * model.head_dim
    linear = 2 * (full * model.block * lengths.pair + keys * lengths.pair + (model.block - keys) * lengths.read)
    scores = 4 * model.heads * model.head_dim * (full * seen(lengths) + read_pairs(lengths))
    head = 2 * model.head * lengths.answers
    return Work("train", 2 * linear + 3 * scores + 2 * head) if backward else Work("read", linear + scores + head)


def building(study: Study, task: str) -> Work:
    """One store: the whole model over every pair, the head on the answers, the autoencoder on every token."""
    model, lengths = study.model, study.lengths[task]
    below = 2 * (study.layer + 1) * model.block * lengths.pair + attention(model, lengths.pair) * (study.layer + 1) / model.layers
    flops = below + upper(model, study.layer, lengths, backward=False).flops
    encode = 2 * model.d_model * study.sae.d_sae * lengths.pair
    return Work("read", flops, encode, 0.0, model.layers / study.per_pass).times(study.pairs)


def training(study: Study, task: str) -> list[Work]:
    """One trained method, all settings together: steps, then the validation at each epoch's end."""
    lengths, above = study.lengths[task], study.model.layers - study.layer - 1
    epochs = max(study.epochs.values())
    together = max(1, study.train_rows // study.batch)
    steps = epochs * math.ceil(study.share(0) * (1 if study.settings in (1, 3) else 0.5) / study.batch)
    passes = steps * math.ceil(study.settings / together)
    step = upper(study.model, study.layer, lengths, backward=True).times(epochs * study.asked * study.share(0))
    check = upper(study.model, study.layer, lengths, backward=False).times(epochs * study.asked * study.share(1))
    checks = epochs * study.asked * study.share(1) / study.train_rows
    return [replace(step, trained=passes * above), replace(check, calls=checks * above)]


def discovery(study: Study, task: str) -> list[Work]:
    """Both curves of one country, at every layer."""
    model, lengths = study.model, study.lengths[task]
    probes = study.share(1) / 2
    row = lengths.prompt + 2 * lengths.chosen
    patched = 2 * row * model.block * (2 * model.layers + model.layers * (model.layers - 1) / 2)
    passes = probes / study.per_pass * model.layers * (2 + model.layers / 2)
    tried = (model.layers - 1) * (1 + study.discovery_multipliers) * probes
    halfway = replace(study, layer=model.layers // 2)
    return [
        Work("read", probes * (patched + model.layers * 4 * model.head * lengths.chosen), calls=passes),
        *writing(halfway, task, tried, 1 + study.discovery_multipliers, sparse=0.0),
    ]


def stages(study: Study) -> dict[str, list[Work]]:
    """The parts of each stage's job: ``layer`` once for a study, ``train`` for one trained method, the others for a country."""
    sparse = sum(study.epochs[m] for m in study.epochs if m in SPARSE) / sum(study.epochs.values())
    shared = sum(trials(epochs, study.multipliers) for epochs in study.epochs.values()) * 2
    found: dict[str, list[Work]] = {"layer": [], "prepare": [], "train": [], "evaluate": []}
    for task in study.lengths:
        found["layer"] += [work.times(study.discovered) for work in discovery(study, task)]
        found["prepare"] += [*writing(study, task, study.pairs, 1.0, sparse=0.0), building(study, task)]
        found["train"] += training(study, task)
        found["evaluate"] += writing(study, task, completions(study), shared, sparse)
    return found
