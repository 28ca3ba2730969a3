rule mlflow:
    input:
        rules.figures.output,
        [kept_files(country) for country in COUNTRIES],
    output:
        touch(STUDY.root / "mlflow.done"),
    log:
        STUDY.root / "logs/mlflow.log",
    conda:
        "../../environment.yml"
    params:
        python=untracked(PYTHON),
        results=untracked(str(STUDY.root)),
    message:
        "Show the study in MLflow"
    shell:
        "{params.python} -m yapo.warm -m yapo.tracking ingest --results {params.results} > {log} 2>&1"
