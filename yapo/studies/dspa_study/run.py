"""Stage ``dspa_study``: DSPA on one country with one thing changed at a time, on validation, and what its fit costs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from yapo.config import Config, TrainConfig
from yapo.dag.scope import layers_to_read
from yapo.evaluation.decoding import Condition
from yapo.files import write_parquet
from yapo.stages.app import run
from yapo.stages.vectors import check_vectors
from yapo.steering.method import FitInputs, Models, read_options
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.flops import Tokens, displacement_cost, fit_cost
from yapo.steering.methods.dspa.method import DSPA
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.steering.methods.dspa.variants import VariantMap, fit_variants, variants
from yapo.studies.trainings import Training, TrainingSetup

READS = (
    "data.seed",
    "discovery.layer",
    "discovery.candidates",
    "prompts",
    "model",
    "sae",
    "generation",
    "judge",
    "tasks",
    "method",
    "train.rows_per_pass",
    "studies.dspa_study.setting",
    "studies.dspa_study.pairs",
    "studies.dspa_study.subsets",
    "studies.dspa_study.changes",
    "studies.dspa_study.layers",
)

NAME, FLOPS, METHOD = "dspa_study", "dspa_flops", "dspa"
COLUMNS = [
    "language", "country", "task", "setting", "method", "variant", "question_id", "phrasing", "change", "value", "draw",
    "strength", "multiplier", "alpha", "pairs", "entries", "width_in", "width_out", "score", "parsed", "exact",
]  # fmt: skip


def main(config: Config) -> None:
    """Write ``studies/dspa_study.parquet`` and ``studies/dspa_flops.parquet`` for ``country``; ``method`` is dspa.

    The first has one row per validation item, variant and strength:
        change, value, draw: the option, its value, and the subset of pairs; see ``MapVariant``. Rows of the method
            "baseline" are the unsteered model's.
        strength: "one" at λ = 1, "chosen" at the λ that validation chose for the experiment's own vector.
        alpha: the step, λ·α. pairs, entries: N, and the non-zero entries of the map. width_in, width_out: features of its
            autoencoders.
    The second has one row per quantity of ``_costs``, in operations, and the tokens that they are for.
    """
    wanted = config.studies.dspa_study
    check_vectors(config, method=METHOD)
    check_vectors(config, "studies.dspa_study.setting", setting=wanted.setting)
    setup, options = TrainingSetup.of_method(config, NAME), read_options(DspaOptions, config.method.options)
    layers = wanted.layers or layers_to_read(config)
    for layer in layers:
        setup.lm.check_layer(layer)

    frames, costs = [], []
    with setup.answerer.cache:
        for task in config.tasks:
            training = setup.training(task, wanted.setting)
            train = TrainConfig(rows_per_pass=config.train.rows_per_pass)
            inputs = training.inputs([training.part], config.method, train, lambda _: None, setup.path)
            tried = variants(options, wanted.changes, layers, wanted.pairs, wanted.subsets, len(training.part.train))
            fitted = fit_variants(inputs, training.part, tried, config.data.seed)
            chosen = setup.reader.read(setup.language_folder, config.country, METHOD, task, wanted.setting)
            edits = _edits(inputs.models, fitted, setup.lm.device)
            frames.append(_answers(training, fitted, edits, {"one": 1.0, "chosen": chosen.multiplier}))
            costs.append(_costs(inputs, training, fitted[0]))
    write_parquet(setup.path, pd.concat(frames, ignore_index=True).assign(**setup.labels)[COLUMNS])
    write_parquet(setup.rows(FLOPS), pd.concat(costs, ignore_index=True).assign(**setup.labels))


def _edits(models: Models, fitted: Sequence[VariantMap], device: torch.device) -> list[Conditional]:
    """Return the edit of each variant; those with one map share one, and so forward passes."""
    maps, sae = {f.map.digest: f.map for f in fitted}, models.autoencoder
    edits = {d: Conditional(m, sae(m.info.layer_in), sae(m.info.layer_out), device) for d, m in maps.items()}
    return [edits[f.map.digest] for f in fitted]


def _answers(
    training: Training, fitted: Sequence[VariantMap], edits: Sequence[Conditional], strengths: dict[str, float]
) -> pd.DataFrame:
    """Return validation items under every variant at every strength, and unsteered."""
    by_step = {
        (edit, f.variant.options.alpha * m): Condition(edit, torch.tensor([f.variant.options.alpha * m]))
        for f, edit in zip(fitted, edits, strict=True)
        for m in strengths.values()
    }
    base, *answered = training.answers([Condition(), *by_step.values()])
    at = dict(zip(by_step, answered, strict=True))
    frames = [base.assign(method="baseline", change="baseline", value="", draw=0, strength=s, multiplier=0.0) for s in strengths]
    for f, edit in zip(fitted, edits, strict=True):
        variant, info = f.variant, f.map.info
        for strength, multiplier in strengths.items():
            alpha = variant.options.alpha * multiplier
            frames.append(
                at[edit, alpha].assign(
                    method=METHOD,
                    change=variant.change,
                    value=variant.value,
                    draw=variant.draw,
                    strength=strength,
                    multiplier=multiplier,
                    alpha=alpha,
                    pairs=info.pairs,
                    entries=len(f.map.entries.values),
                    width_in=info.width_in,
                    width_out=info.width_out,
                )
            )
    counts = ("pairs", "entries", "width_in", "width_out")
    filled = pd.concat(frames, ignore_index=True).fillna({"alpha": 0.0, **dict.fromkeys(counts, 0)})
    return filled.astype(dict.fromkeys(counts, int)).assign(task=training.task, setting=training.setting)


def _costs(inputs: FitInputs, training: Training, fitted: VariantMap) -> pd.DataFrame:
    """Return the operations of fitting the experiment's own map.

    three_passes, two_passes, one_pass: by the paper's accounting, with its three passes over a prompt and with fewer.
    linear, padding, attention, encoders, check, displacement, run: as it is run here, part by part and in all; padding is part
        of linear, displacement the pass over the validation pairs.
    measured: the count of torch while DSPA fits this set.
    """
    lm, options, batch_size = training.setup.lm, fitted.variant.options, inputs.train.rows_per_pass
    pairs, validation = (
        [training.prepared.store.pairs[i] for i in places] for places in (training.part.train, training.part.validation)
    )
    tokens, parameters = Tokens.of(pairs), sum(parameter.numel() for parameter in lm.model.parameters())
    sae_in, sae_out = (inputs.models.autoencoder(layer) for layer in (options.layer_in, options.layer_out))
    work = fit_cost(lm, pairs, options, sae_in, sae_out, batch_size)
    moved = displacement_cost(lm, validation, fitted.map.info, batch_size)
    with FlopCounterMode(display=False) as counter:
        DSPA().fit(inputs)
    flops = {
        "three_passes": tokens.accounted(parameters, 3),
        "two_passes": tokens.accounted(parameters, 2),
        "one_pass": tokens.accounted(parameters, 1),
        "linear": work.linear,
        "padding": work.padding,
        "attention": work.attention,
        "encoders": work.encoders,
        "check": work.check,
        "displacement": moved,
        "run": work.total + moved,
        "measured": counter.get_total_flops(),
    }
    about = {"task": training.task, "setting": training.setting, "parameters": parameters, "layer_out": options.layer_out}
    sums = {"pairs": tokens.pairs, "prompt": tokens.prompt, "chosen": tokens.chosen, "rejected": tokens.rejected}
    return pd.DataFrame({"quantity": flops.keys(), "flops": [float(value) for value in flops.values()], **about, **sums})


if __name__ == "__main__":
    run(main)
