rule behaviour_prepare:
    input:
        BEHAVIOUR_MODELS,
        lambda wildcards: local_files(
            f"{BEHAVIOUR_CONFIG.data.path}/{wildcards.behaviour}", "t*"
        ),
    output:
        pairs=BEHAVIOUR / "pairs/open_ended.parquet",
        test=BEHAVIOUR / "pairs/test.parquet",
        counts=BEHAVIOUR / "pairs/open_ended.json",
        store=keep(BEHAVIOUR / "prepared/open_ended.safetensors"),
    log:
        BEHAVIOUR_LOGS / "prepare-{behaviour}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=behaviour_reads("behaviour_prepare"),
        command=command(
            "behaviour_prepare", for_behaviour, model=True, base=BEHAVIOUR_OVERRIDES
        ),
    message:
        "Preference pairs and activations: {wildcards.behaviour}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule behaviour_train:
    input:
        BEHAVIOUR_MODELS,
        pairs=rules.behaviour_prepare.output.pairs,
        store=rules.behaviour_prepare.output.store,
    output:
        BEHAVIOUR / "train/{method}/open_ended-both.safetensors",
        curves=BEHAVIOUR / "train/{method}/curves.jsonl",
        run=BEHAVIOUR / "train/{method}/run.json",
    log:
        BEHAVIOUR_LOGS / "train-{behaviour}-{method}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: behaviour_training(wildcards.method),
        command=command(
            "train",
            for_behaviour_method,
            for_behaviour,
            model=True,
            base=BEHAVIOUR_OVERRIDES,
        ),
    message:
        "Train {wildcards.method}: {wildcards.behaviour}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule behaviour_evaluate:
    input:
        BEHAVIOUR_MODELS,
        rules.behaviour_prepare.output.pairs,
        rules.behaviour_prepare.output.test,
        expand(
            str(BEHAVIOUR / "train/{method}/open_ended-both.safetensors"),
            method=METHODS,
            allow_missing=True,
        ),
    output:
        expand(
            str(BEHAVIOUR / "vectors/{method}/open_ended-both.safetensors"),
            method=METHODS,
            allow_missing=True,
        ),
        validation=BEHAVIOUR / "validation.parquet",
        evaluation=BEHAVIOUR / "evaluation.parquet",
        judge=BEHAVIOUR / "judge.json",
    log:
        BEHAVIOUR_LOGS / "evaluate-{behaviour}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=behaviour_reads("behaviour_evaluate"),
        command=command(
            "behaviour_evaluate", for_behaviour, model=True, base=BEHAVIOUR_OVERRIDES
        ),
    message:
        "Select on validation and test at both signs: {wildcards.behaviour}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule behaviours_table:
    input:
        behaviour_files(BEHAVIOUR / "evaluation.parquet"),
    output:
        expand(
            str(STUDY.root / "tables/behaviours.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
        expand(str(STUDY.root / "figures/behaviours.{kind}"), kind=["svg", "png"]),
        finding=STUDY.finding("behaviours"),
    log:
        STUDY.root / "logs/behaviours_table.log",
    threads: THREADS
    params:
        spec=behaviour_reads("behaviours_table"),
        command=command("behaviours_table", base=BEHAVIOUR_OVERRIDES),
    message:
        "Table of behaviours"
    shell:
        "{params.command} > {log:q} 2>&1"


rule behaviours:
    input:
        rules.behaviours_table.output,
        behaviour_files(
            BEHAVIOUR / "vectors/{method}/open_ended-both.safetensors", method=METHODS
        ),
    message:
        f"Done: {STUDY.root}/tables/behaviours.md"
