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
        spec=reads("data"),
        command=command("data"),
    message:
        "Items and their split"
    shell:
        "{params.command} > {log:q} 2>&1"
