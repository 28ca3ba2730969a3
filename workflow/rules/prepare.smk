rule prepare:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
    output:
        pairs=of_country("pairs/{task}.parquet"),
        counts=of_country("pairs/{task}.json"),
        store=keep(of_country("prepared/{task}.safetensors")),
    log:
        STUDY.root / "logs/prepare/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=120),
    params:
        *settings_and_code("yapo.stages.prepare"),
    message:
        "Preference pairs and activations: {wildcards.country}"
    shell:
        "{MODEL_JOB} yapo.stages.prepare {SETTINGS_OF_ALL} country={wildcards.country:q} > {log:q} 2>&1"
