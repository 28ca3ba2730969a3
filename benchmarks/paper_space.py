"""Memory and disk of a study, counted from its shapes; ``tests/test_paper_runs.py`` compares with the code."""

from __future__ import annotations

from benchmarks.paper_costs import completions
from benchmarks.paper_study import SPARSE, Model, Study

LOGITS = 2**26  # elements held at once: yapo.models.head.LOGITS, yapo.models.sae.DENSE_CODES


def token_bytes(model: Model, l0: float) -> float:
    """Of one token in a store: the state, feature numbers and values (4 bytes each), how many there are."""
    return model.d_model * model.itemsize + 8 * l0 + 4


def store_bytes(model: Model, pairs: float, tokens: float, entries: float, ids: float) -> float:
    """Of a store's tensors, as ``ActivationStore.save`` writes them.

    Args:
        model: whose states.
        pairs, tokens: how many, and their tokens that are run.
        entries: features that fire, over all tokens.
        ids: token ids of prompts and answers.
    """
    return tokens * token_bytes(model, 0.0) + 8 * entries + 4 * ids + (12 + 8) * pairs


def kept_per_pass(model: Model, layer: int, rows: int, tokens: int, read: int, answers: int) -> float:
    """Bytes that the backward pass of one training pass needs, the weights left out.

    Args:
        model: with its upper blocks.
        layer: steered.
        rows, tokens: shape of the padded batch.
        read: tokens of a row that predict an answer, padded; ``answers``: tokens predicted in all.
    """
    size, width = model.itemsize, model.heads * model.head_dim
    keys = model.kv_heads * model.head_dim
    scores = 2 * model.heads * tokens if model.scores_kept else 0
    full = size * (model.norms * model.d_model + 3 * model.d_ff + width + 3 * keys + scores) + 4 * model.norms
    first = size * (model.d_model + 2 * keys) + 4  # the last block's keys and values are of all tokens
    last = size * ((model.norms - 1) * model.d_model + 3 * model.d_ff + width + scores) + 4 * (model.norms - 1)
    head = size * model.d_model * (answers + rows * read)
    return rows * tokens * ((model.layers - layer - 2) * full + first) + rows * read * last + head


def memory(study: Study) -> dict[str, float]:
    """Most bytes that each stage holds on its device, without what the device's library itself takes.

    At the longest prompt that is taken, answers at the limit, and every feature touched.
    """
    model, sae = study.model, study.sae.bytes(study.model.d_model)
    limit = max(study.limits.values())
    row = study.longest_prompt + limit
    chosen = max(lengths.chosen for lengths in study.lengths.values())
    pair = study.longest_prompt + chosen + limit
    passing = study.per_pass * model.itemsize * 3 * (model.d_ff + model.d_model)  # of a block without gradient, one token a row
    seen_twice = 2 * study.per_pass * model.heads * (4 + model.itemsize) if model.scores_kept else 0
    logits = 4 * 4 * LOGITS
    prefill = study.longest_prompt * (passing + study.longest_prompt * seen_twice / 2)
    whole = pair * (passing + pair * seen_twice / 2)
    answers = int(study.train_rows * (chosen + limit))
    kept = kept_per_pass(model, study.layer, study.train_rows, int(pair), int(chosen + limit), answers)
    vector = 16 * study.sae.d_sae * study.settings + sae / 2  # vector, gradient and Adam's two moments; decoder rows
    states = 2 * model.layers * study.per_pass * (study.longest_prompt + 2 * chosen) * model.d_model * model.itemsize
    return {
        "layer": model.bytes + max(states + logits + whole / 2, study.per_pass * row * model.cache + prefill),
        "prepare": model.bytes + sae + max(whole + logits, study.per_pass * row * model.cache + prefill),
        "train": model.upper_bytes(study.layer) + kept + logits + vector,
        "evaluate": model.bytes + (2 + 2 * ("dspa" in study.epochs)) * sae + study.per_pass * row * model.cache + prefill,
    }


def disk(study: Study) -> dict[str, float]:
    """Bytes of the files of a study: downloads; stores and vectors of one country; text of its completions."""
    d, d_sae = study.model.d_model, study.sae.d_sae
    stores = sum(
        store_bytes(
            study.model,
            study.pairs,
            study.pairs * x.pair,
            study.pairs * x.pair * study.sae.l0,
            study.pairs * (x.prompt + x.answers),
        )
        for x in study.lengths.values()
    )
    cells = study.settings * len(study.lengths)
    trained = sum(4 * (epochs + 1) * (d_sae if m in SPARSE else d) for m, epochs in study.epochs.items()) * cells
    text = sum(completions(study) * lengths.written for lengths in study.lengths.values()) * 4
    return {
        "model": float(study.model.bytes),
        "autoencoders": float(study.saes * study.sae.bytes(d)),
        "activations, a country": stores,
        "vectors after every epoch and chosen, a country": float(trained),
        "completions, a country": text,
    }
