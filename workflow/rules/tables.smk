from yapo.reporting.main_tables import TABLE_NAMES

TABLES = [table for table in TABLE_NAMES if table != "examples"]
FIGURES = [
    "summary",
    *(
        []
        if TEST_ONLY
        else [
            "training_curves",
            "layer_discovery",
            "epoch_accuracy",
            "multiplier_curves",
        ]
    ),
]


rule tables:
    input:
        PATHS.items,
        evaluation=[path for name in EVALUATIONS for path in of_all_countries(name)],
    output:
        expand(
            str(PATHS.root / "tables/{table}.{kind}"),
            table=TABLES,
            kind=["csv", "md", "tex"],
        ),
        expand(str(PATHS.root / "tables/examples.{kind}"), kind=["csv", "md"]),
        html=report(
            expand(str(PATHS.root / "tables/{table}.html"), table=TABLES),
            caption="../report/tables.rst",
            category="Tables",
        ),
        examples=report(
            PATHS.root / "tables/examples.html",
            caption="../report/examples.rst",
            category="Examples",
        ),
    log:
        PATHS.root / "logs/tables.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.tables"),
        settings=overrides_of_all,
    message:
        "Tables"
    shell:
        "python -m yapo.warm -m yapo.stages.tables {params.settings} > {log:q} 2>&1"


rule figures:
    input:
        PATHS.layer,
        PATHS.root / "tables/summary.csv",
        validation=[] if TEST_ONLY else of_all_countries("validation.parquet"),
        curves=[
            PATHS.trained(language, country, method) / "curves.jsonl"
            for country, language in COUNTRIES.items()
            for method in ([] if TEST_ONLY else METHODS)
        ],
    output:
        expand(str(PATHS.root / "figures/{figure}.png"), figure=FIGURES),
        svg=report(
            expand(str(PATHS.root / "figures/{figure}.svg"), figure=FIGURES),
            caption="../report/figures.rst",
            category="Figures",
        ),
    log:
        PATHS.root / "logs/figures.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.figures"),
        settings=overrides_of_all,
    message:
        "Figures"
    shell:
        "python -m yapo.warm -m yapo.stages.figures {params.settings} > {log:q} 2>&1"
