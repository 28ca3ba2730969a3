rule evaluate:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        vectors=of_country(
            "train/{method}/{task}-{setting}.safetensors", method=METHODS
        ),
    output:
        of_country("vectors/{method}/{task}-{setting}.safetensors", method=METHODS),
        validation=STUDY.root / "{language}/{country}/validation.parquet",
        evaluation=STUDY.root / "{language}/{country}/evaluation.parquet",
        judge=STUDY.root / "{language}/{country}/judge.json",
    log:
        STUDY.root / "logs/evaluate/{language}-{country}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("evaluate"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Select on validation and test: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.evaluate {params.arguments}"
        " country={wildcards.country} > {log} 2>&1"
