rule prepare:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
    output:
        pairs=country_files("pairs/{task}.parquet"),
        counts=country_files("pairs/{task}.json"),
        store=temp_unless_kept(country_files("prepared/{task}.safetensors")),
    log:
        PATHS.root / "logs/prepare/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=120),
    params:
        *settings_and_code("yapo.stages.prepare"),
        settings=overrides_of_all,
    message:
        "Preference pairs and activations: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.prepare {params.settings} country={wildcards.country:q} > {log:q} 2>&1"
