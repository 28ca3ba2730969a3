rule data:
    input:
        DATA_FILES,
    output:
        STUDY.items,
        STUDY.split,
        STUDY.leakage,
    log:
        STUDY.root / "logs/data.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.data"),
    message:
        "Items and their split"
    shell:
        "{JOB} yapo.stages.data {SETTINGS_OF_ALL} > {log:q} 2>&1"
