SWEEP = CONFIG.studies.lambda_sweep


rule lambda_sweep_country:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        of_country(
            "vectors/{method}/{vector}.safetensors",
            method=METHODS,
            vector=[
                f"{task}-{setting}" for task in TASKS for setting in SWEEP.settings
            ],
        ),
    output:
        STUDY.of_study("lambda_sweep", "{language}", "{country}"),
    log:
        STUDY.root / "logs/lambda_sweep/{language}-{country}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("lambda_sweep"),
        command=command("lambda_sweep", for_country, model=True),
    message:
        "All multipliers: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule lambda_sweep_table:
    input:
        checked(
            ["lambda_sweep"],
            [
                STUDY.of_study("lambda_sweep", language, country)
                for country, language in STUDIED["lambda_sweep"].items()
            ],
        ),
    output:
        expand(
            str(STUDY.root / "tables/lambda_sweep.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
        expand(
            str(STUDY.root / "figures/lambda_sweep_{setting}{over}.{kind}"),
            setting=SWEEP.settings,
            over=["", "_displacement"],
            kind=["svg", "png"],
        ),
        STUDY.finding("lambda_sweep"),
    log:
        STUDY.root / "logs/lambda_sweep_table.log",
    threads: THREADS
    params:
        spec=reads("lambda_sweep_table"),
        command=command("lambda_sweep_table"),
    message:
        "Table and figures of all multipliers"
    shell:
        "{params.command} > {log:q} 2>&1"


rule lambda_sweep:
    input:
        rules.lambda_sweep_table.output,
    message:
        f"Done: {STUDY.root}/tables/lambda_sweep.md"
