from yapo.reporting.tables import TABLE_NAMES

TABLES = [table for table in TABLE_NAMES if table != "examples"]
FIGURES = [
    "training_curves",
    "layer_discovery",
    "epoch_accuracy",
    "multiplier_curves",
    "summary",
]


rule tables:
    input:
        STUDY.items,
        evaluation=of_study("evaluation.parquet"),
    output:
        expand(
            str(STUDY.root / "tables/{table}.{kind}"),
            table=TABLES,
            kind=["csv", "md", "tex"],
        ),
        expand(str(STUDY.root / "tables/examples.{kind}"), kind=["csv", "md"]),
        html=report(
            expand(str(STUDY.root / "tables/{table}.html"), table=TABLES),
            caption="../report/tables.rst",
            category="Tables",
        ),
        examples=report(
            STUDY.root / "tables/examples.html",
            caption="../report/examples.rst",
            category="Examples",
        ),
    log:
        STUDY.root / "logs/tables.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.tables"),
        settings=settings_of_all,
    message:
        "Tables"
    shell:
        "python -m yapo.warm -m yapo.stages.tables {params.settings} > {log:q} 2>&1"


rule figures:
    input:
        STUDY.layer,
        STUDY.root / "tables/summary.csv",
        validation=of_study("validation.parquet"),
        curves=[
            STUDY.trained(language, country, method) / "curves.jsonl"
            for country, language in COUNTRIES.items()
            for method in METHODS
        ],
    output:
        expand(str(STUDY.root / "figures/{figure}.png"), figure=FIGURES),
        svg=report(
            expand(str(STUDY.root / "figures/{figure}.svg"), figure=FIGURES),
            caption="../report/figures.rst",
            category="Figures",
        ),
    log:
        STUDY.root / "logs/figures.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.figures"),
        settings=settings_of_all,
    message:
        "Figures"
    shell:
        "python -m yapo.warm -m yapo.stages.figures {params.settings} > {log:q} 2>&1"
