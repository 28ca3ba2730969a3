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
        PATHS.root / "logs/prepare/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=120),
    params:
        *settings_and_code("yapo.stages.prepare"),
        settings=settings_of_all,
    message:
        "Preference pairs and activations: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.prepare {params.settings} country={wildcards.country:q} > {log:q} 2>&1"
