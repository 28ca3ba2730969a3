"""Facts of a study for its report: model, autoencoder, layer, data, split, schedule, seeds and judge."""

from __future__ import annotations

from collections.abc import Sequence

from yapo.config import Config
from yapo.data.schema import by_place, read_table
from yapo.evaluation.judges.label import judge_label
from yapo.files import read_json
from yapo.paths import Paths
from yapo.reporting.names import label
from yapo.stages.provenance import TrainingRun


def model_name(made: TrainingRun) -> str:
    """The model and how its numbers are kept."""
    return f"{made.config['model']['path']}, {made.config['model']['dtype']}"


def autoencoder_name(made: TrainingRun) -> str:
    """The autoencoder of the steered layer: its folder, or its release and id."""
    sae = made.config["sae"]
    own = sae["ids"].get(str(made.layer), sae["id"])
    return (sae["path"] or f"{sae['release']} {own}".strip() or "trained by the study").replace("LAYER", str(made.layer))


def learning_rates(made: Sequence[TrainingRun]) -> str:
    """Return the learning rate of each method that trains, and the names of the others."""
    rates = ", ".join(f"{label('method', one.method)} {one.config['train']['lr']:g}" for one in made if one.trained)
    closed = ", ".join(label("method", one.method) for one in made if not one.trained)
    return "; ".join([*([rates] if rates else []), *([f"no training steps: {closed}"] if closed else [])])


def schedule(made: Sequence[TrainingRun]) -> str:
    """Return epochs, batches and β of the methods that train: once, or for each if they differ."""
    said: dict[str, list[str]] = {}
    for one in made:
        if one.trained:
            train = one.config["train"]
            epochs = f"{train['epochs']} epoch{'s' if train['epochs'] > 1 else ''}"
            text = f"{epochs} of batches of {train['batch_size']}, β = {train['beta']:g}"
            said.setdefault(text, []).append(label("method", one.method))
    if len(said) <= 1:
        return next(iter(said), "no method trains")
    return "; ".join(f"{', '.join(methods)}: {text}" for text, methods in said.items())


def study_facts(config: Config, paths: Paths, countries: dict[str, str], made: Sequence[TrainingRun]) -> list[tuple[str, str]]:
    """Return names and values of what a study was made with; ``made`` are the trainings of its first country."""
    items, split = by_place(read_table(paths.items)), read_table(paths.split)
    own = items[items["country"].isin(countries)]
    facts = split[split["question_id"].isin(own["question_id"])]["split"].value_counts()
    return [
        ("Model", f"{model_name(made[0])} ({read_json(paths.layer)['model']['digest']})"),
        ("Autoencoder", autoencoder_name(made[0])),
        ("Layer", f"{made[0].layer} (0-based)"),
        ("Countries", ", ".join(label("country", name) for name in countries)),
        ("Methods", ", ".join(label("method", name) for name in config.methods)),
        ("Data", f"{config.data.path or config.data.source}: {len(own):,} items of {own['question_id'].nunique():,} facts"),
        ("Split by fact", ", ".join(f"{name} {facts[name]:,}" for name in ("train", "validation", "test"))),
        ("Training", schedule(made)),
        ("Learning rates", learning_rates(made)),
        (
            "Seeds",
            f"data {config.data.seed}, split {config.split.seed}, training {config.train.seed}, report {config.report.seed}",
        ),
        ("Judge", judge_label(config.judge)),
    ]
