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
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec("train", METHOD_CONFIG[wildcards.method]),
        command=command("train", for_method, for_country, model=True),
    message:
        "Train {wildcards.method}: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"
