rule data:
    output:
        STUDY.items,
        STUDY.split,
        STUDY.leakage,
    log:
        STUDY.root / "logs/data.log",
    benchmark:
        STUDY.root / "benchmarks/data.tsv"
    params:
        spec=spec("data", plain(CONFIG)),
        python=PYTHON,
        arguments=ARGUMENTS,
    message:
        "Items and their split"
    shell:
        "{params.python} -m yapo.stages.data {params.arguments} > {log} 2>&1"
