rule layer:
    input:
        rules.data.output,
        model=MODEL_FILES,
    output:
        layer=PATHS.layer,
    log:
        PATHS.root / "logs/layer.log",
    threads: THREADS
    resources:
        **for_model(minutes=1080),
    params:
        *settings_and_code("yapo.stages.layer"),
        settings=overrides_of_all,
    message:
        "Layer discovery: activation patching and steerability"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.stages.layer {params.settings} > {log:q} 2>&1"
