rule data:
    input:
        DATA_FILES,
    output:
        PATHS.items,
        PATHS.split,
        PATHS.leakage,
    log:
        PATHS.root / "logs/data.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.data"),
        settings=overrides_of_all,
    message:
        "Items and their split"
    shell:
        "python -m yapo.warm -m yapo.stages.data {params.settings} > {log:q} 2>&1"
