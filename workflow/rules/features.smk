rule features_country:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        of_country("vectors/{method}/{task}-{setting}.safetensors", method=METHODS),
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        directory(STUDY.root / "features/{language}-{country}"),
        vectors=STUDY.of_study("features", "{language}", "{country}"),
        top=STUDY.of_study("features_top", "{language}", "{country}"),
    log:
        STUDY.root / "logs/features/{language}-{country}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("features"),
        command=command("features", for_country, model=True),
    message:
        "What vectors do, in features: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule features_table:
    input:
        checked(
            ["features"],
            [
                STUDY.of_study(name, language, country)
                for country, language in STUDIED["features"].items()
                for name in ["features", "features_top"]
            ],
        ),
        rules.layer.output,
    output:
        expand(
            str(STUDY.root / "tables/{name}.{kind}"),
            name=["features", "features_methods", "features_coherence"],
            kind=["csv", "md", "tex", "html"],
        ),
        expand(
            str(STUDY.root / "tables/features_shared.{kind}"),
            kind=["csv", "md", "html"],
        ),
        expand(
            str(STUDY.root / "figures/{name}.{kind}"),
            name=["features_overlap", "features_spectrum"],
            kind=["svg", "png"],
        ),
        index=STUDY.root / "features/index.html",
        finding=STUDY.finding("features"),
    log:
        STUDY.root / "logs/features_table.log",
    threads: THREADS
    params:
        spec=reads("features_table"),
        command=command("features_table"),
    message:
        "What vectors do, in features: tables, figures and index"
    shell:
        "{params.command} > {log:q} 2>&1"


rule features:
    input:
        rules.features_table.output,
        pages=[
            STUDY.root / "features" / f"{language}-{country}"
            for country, language in STUDIED["features"].items()
        ],
    message:
        f"Done: {STUDY.root}/features/index.html"
