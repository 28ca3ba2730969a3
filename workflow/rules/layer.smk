rule layer:
    input:
        rules.data.output,
        MODEL_FILES,
    output:
        STUDY.layer,
    log:
        STUDY.root / "logs/layer.log",
    benchmark:
        STUDY.root / "benchmarks/layer.tsv"
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
        "{params.python} -m yapo.lease -- {params.python} -m yapo.stages.layer {params.arguments} > {log} 2>&1"
