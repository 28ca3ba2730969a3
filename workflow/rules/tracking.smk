rule mlflow:
    input:
        rules.figures.output,
        [kept_files(country) for country in COUNTRIES],
    output:
        touch(STUDY.root / "mlflow.done"),
    log:
        STUDY.root / "logs/mlflow.log",
    threads: THREADS
    params:
        command=lambda wildcards, threads: shlex.join(
            [
                sys.executable,
                "-m",
                "yapo.warm",
                "-m",
                "yapo.tracking",
                "ingest",
                "--results",
                str(STUDY.root),
            ]
        ),
    message:
        "Show the study in MLflow"
    shell:
        "{params.command} > {log:q} 2>&1"
