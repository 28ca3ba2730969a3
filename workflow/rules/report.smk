rule report:
    input:
        refuse_unless_possible(CONFIG.studies.reported, PATHS.items),
        PATHS.split,
        PATHS.layer,
        rules.tables.output,
        rules.figures.output,
        of_all_countries("validation.parquet"),
        [
            PATHS.trained(COUNTRIES[country], country, method) / name
            for country in list(COUNTRIES)[:1]
            for method in METHODS
            for name in ["run.json", "curves.jsonl"]
        ],
        [getattr(rules, name).input for name in CONFIG.studies.reported],
    output:
        report(PATHS.root / "report.html", category="Report"),
    log:
        PATHS.root / "logs/report.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.report"),
        settings=overrides_of_all,
    message:
        "Report"
    shell:
        "python -m yapo.warm -m yapo.stages.report {params.settings} > {log:q} 2>&1"


rule all_studies:
    input:
        rules.report.output,
    message:
        f"Done: {PATHS.root}/report.html"
