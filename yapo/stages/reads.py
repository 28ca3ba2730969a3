"""The settings that decide each stage's result; ``code_of`` finds the code that does. A change to either reruns the stage."""

from __future__ import annotations

# fmt: off
READS = {
    "data": ("data", "split"),
    "train_sae": ("prompts", "model", "sae.train", "tasks"),
    "layer": ("data", "prompts", "model", "sae", "discovery", "generation", "tasks"),
    "prepare": ("prompts", "model", "sae", "generation", "tasks"),
    "train": ("model", "sae", "method", "train", "tasks", "settings"),
    "evaluate": ("prompts", "model", "sae", "generation", "selection", "judge", "tasks", "settings", "methods"),
    "portable": ("prompts", "model", "sae", "generation", "judge", "tasks", "settings", "methods", "portable"),
    "portable_table": ("report", "judge", "methods"),
    "knowledge_baseline": ("prompts", "model", "knowledge"),
    "knowledge": ("data.seed", "prompts", "model", "sae", "methods", "knowledge"),
    "knowledge_table": ("report", "knowledge", "studies.knowledge"),
    "lambda_sweep": (
        "data.seed", "prompts", "model", "sae", "generation", "judge", "tasks", "methods",
        "studies.lambda_sweep.settings", "studies.lambda_sweep.multipliers",
    ),
    "lambda_sweep_table": ("report", "judge", "methods", "studies.lambda_sweep.settings"),
    "behaviour_prepare": ("data.path", "split", "model", "sae", "discovery.layer"),
    "behaviour_evaluate": (
        "data.seed", "model", "sae", "discovery.layer", "generation", "judge", "methods", "studies.behaviours",
    ),
    "behaviours_table": ("report", "judge", "methods"),
    "ablations_sae": ("prompts", "model", "discovery.layer", "sae.train", "tasks", "studies.ablations.variants"),
    "ablations": (
        "prompts", "model", "sae", "generation", "judge", "method", "train", "studies.ablations.tasks",
        "studies.ablations.setting", "studies.ablations.seeds", "studies.ablations.variants",
    ),
    "ablations_table": ("report", "judge", "methods", "studies.ablations"),
    "convergence": (
        "prompts", "model", "sae", "generation", "judge", "method", "train", "studies.convergence.tasks",
        "studies.convergence.setting", "studies.convergence.seeds", "studies.convergence.learning_rates",
        "studies.convergence.epochs", "studies.convergence.answered_epochs", "studies.convergence.train_facts",
    ),
    "convergence_table": ("report", "judge", "methods", "studies.convergence"),
    "transfer_left_out": ("model", "sae", "method", "train", "tasks", "studies.transfer"),
    "transfer": (
        "data.seed", "prompts", "model", "sae", "generation", "selection", "judge", "tasks", "methods", "studies.transfer",
    ),
    "transfer_table": ("report", "judge", "methods", "studies.transfer"),
    "features": (
        "model", "sae", "tasks", "settings", "methods", "report.seed", "report.note", "studies.features.tasks",
        "studies.features.settings", "studies.features.top", "studies.features.examples",
    ),
    "features_table": ("sae", "report", "methods", "studies.features"),
    "dspa_study": (
        "data.seed", "discovery.layer", "discovery.candidates", "prompts", "model", "sae", "generation", "judge", "tasks",
        "method", "train.rows_per_pass", "studies.dspa.setting", "studies.dspa.pairs", "studies.dspa.subsets",
        "studies.dspa.changes", "studies.dspa.layers",
    ),
    "dspa_chat": (
        "model", "sae", "judge", "methods", "generation.max_new_tokens_open_ended", "studies.dspa.setting",
        "studies.dspa.chat_task", "studies.dspa.max_new_tokens",
    ),
    "dspa_study_table": ("report", "judge", "method", "studies.dspa.countries", "studies.dspa.pairs"),
    "tables": ("report", "judge", "methods"),
    "figures": ("report", "methods"),
    "report": (
        "report", "judge", "methods", "model", "sae", "data", "split.seed", "studies.reported", "train.epochs",
        "train.batch_size", "train.beta", "train.seed",
    ),
}
# fmt: on
