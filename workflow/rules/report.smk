rule report:
    input:
        checked(CONFIG.studies.reported, STUDY.items),
        STUDY.split,
        STUDY.layer,
        rules.tables.output,
        rules.figures.output,
        of_study("validation.parquet"),
        [
            STUDY.trained(COUNTRIES[country], country, method) / name
            for country in list(COUNTRIES)[:1]
            for method in METHODS
            for name in ["run.json", "curves.jsonl"]
        ],
        [getattr(rules, name).input for name in CONFIG.studies.reported],
    output:
        report(STUDY.root / "report.html", category="Report"),
    log:
        STUDY.root / "logs/report.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.stages.report"),
        settings=settings_of_all,
    message:
        "Report"
    shell:
        "python -m yapo.warm -m yapo.stages.report {params.settings} > {log:q} 2>&1"


rule all_studies:
    input:
        rules.report.output,
    message:
        f"Done: {STUDY.root}/report.html"
