rule prepare:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
    output:
        pairs=of_country("pairs/{task}.parquet"),
        counts=of_country("pairs/{task}.json"),
        store=keep(of_country("prepared/{task}.safetensors")),
    log:
        STUDY.root / "logs/prepare/{language}-{country}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("prepare"),
        command=command("prepare", for_country, model=True),
    message:
        "Preference pairs and activations: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"
