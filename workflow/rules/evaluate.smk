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
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("evaluate"),
        command=command("evaluate", for_country, model=True),
    message:
        "Select on validation and test: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"
