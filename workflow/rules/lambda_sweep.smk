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
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("lambda_sweep"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "All multipliers: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.lambda_sweep {params.arguments}"
        " country={wildcards.country} > {log} 2>&1"


rule lambda_sweep_table:
    input:
        [
            STUDY.of_study("lambda_sweep", language, country)
            for country, language in STUDIED["lambda_sweep"].items()
        ],
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
    conda:
        "../../environment.yml"
    params:
        spec=reads("lambda_sweep_table"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Table and figures of all multipliers"
    shell:
        "{params.python} -m yapo.warm -m yapo.stages.lambda_sweep_table {params.arguments} > {log} 2>&1"


rule lambda_sweep:
    input:
        rules.lambda_sweep_table.output,
    message:
        f"Done: {STUDY.root}/tables/lambda_sweep.md"
