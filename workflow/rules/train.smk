rule train:
    input:
        rules.layer.output,
        SAE_FILES,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        of_country("train/{{method}}/{task}-{setting}.safetensors"),
        curves=STUDY.root / "{language}/{country}/train/{method}/curves.jsonl",
        run=STUDY.root / "{language}/{country}/train/{method}/run.json",
    log:
        STUDY.root / "logs/train/{language}-{country}-{method}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec("train", METHOD_CONFIG[wildcards.method]),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
        method=per_method,
    message:
        "Train {wildcards.method}: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.train {params.arguments} {params.method}"
        " country={wildcards.country} > {log} 2>&1"
