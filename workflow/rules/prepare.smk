rule prepare:
    input:
        rules.data.output,
        rules.layer.output,
    output:
        pairs=of_country("pairs/{task}.parquet"),
        counts=of_country("pairs/{task}.json"),
        store=temp(of_country("prepared/{task}.safetensors")),
    log:
        STUDY.root / "logs/prepare/{language}-{country}.log",
    benchmark:
        STUDY.root / "benchmarks/prepare/{language}-{country}.tsv"
    params:
        spec=spec("prepare", plain(CONFIG)),
        python=PYTHON,
        arguments=ARGUMENTS,
    resources:
        gpu=min(1, GPUS),
    message:
        "Preference pairs and activations: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.stages.prepare {params.arguments}"
        " country={wildcards.country} > {log} 2>&1"
