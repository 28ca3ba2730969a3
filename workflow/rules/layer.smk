rule layer:
    input:
        rules.data.output,
        MODEL_FILES,
    output:
        STUDY.layer,
    log:
        STUDY.root / "logs/layer.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("layer"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Layer discovery: activation patching and steerability"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.layer {params.arguments} > {log} 2>&1"
