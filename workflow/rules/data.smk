rule data:
    input:
        DATA_FILES,
    output:
        STUDY.items,
        STUDY.split,
        STUDY.leakage,
    log:
        STUDY.root / "logs/data.log",
    conda:
        "../../environment.yml"
    params:
        spec=reads("data"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Items and their split"
    shell:
        "{params.python} -m yapo.warm -m yapo.stages.data {params.arguments} > {log} 2>&1"
