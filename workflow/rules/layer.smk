rule layer:
    input:
        rules.data.output,
        MODEL_FILES,
    output:
        STUDY.layer,
    log:
        STUDY.root / "logs/layer.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("layer"),
        command=command("layer", model=True),
    message:
        "Layer discovery: activation patching and steerability"
    shell:
        "{params.command} > {log:q} 2>&1"
