rule mlflow:
    input:
        rules.figures.output,
        [kept_files(country) for country in COUNTRIES],
    output:
        touch(PATHS.root / "mlflow.done"),
    log:
        PATHS.root / "logs/mlflow.log",
    threads: THREADS
    message:
        "Show the study in MLflow"
    shell:
        'python -m yapo.warm -m yapo.tracking ingest --results "$(dirname {output:q})" > {log:q} 2>&1'
