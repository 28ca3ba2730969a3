rule layer:
    input:
        rules.data.output,
        model=MODEL_FILES,
    output:
        layer=STUDY.layer,
    log:
        STUDY.root / "logs/layer.log",
    threads: THREADS
    resources:
        **for_model(minutes=1080),
    params:
        *settings_and_code("yapo.stages.layer"),
    message:
        "Layer discovery: activation patching and steerability"
    shell:
        "{MODEL_JOB} yapo.stages.layer {SETTINGS_OF_ALL} > {log:q} 2>&1"
