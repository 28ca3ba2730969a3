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
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("prepare"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Preference pairs and activations: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.prepare {params.arguments}"
        " country={wildcards.country} > {log} 2>&1"
