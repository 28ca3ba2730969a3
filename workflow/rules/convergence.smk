CONVERGENCE_METHODS = [
    method for method in CONFIG.studies.convergence.methods if method in METHODS
]


rule convergence_country:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        STUDY.of_study("convergence_{method}", "{language}", "{country}"),
    log:
        STUDY.root / "logs/convergence/{language}-{country}-{method}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec("convergence", METHOD_CONFIG[wildcards.method]),
        command=command("convergence", for_method, for_country, model=True),
    message:
        "Convergence of {wildcards.method}: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule convergence_table:
    input:
        checked(
            ["convergence"],
            [
                STUDY.of_study(f"convergence_{method}", language, country)
                for country, language in STUDIED["convergence"].items()
                for method in CONVERGENCE_METHODS
            ],
        ),
    output:
        expand(
            str(STUDY.root / "tables/convergence.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
        expand(
            str(STUDY.root / "figures/convergence.{kind}"),
            kind=["svg", "png"],
        ),
        STUDY.finding("convergence"),
    log:
        STUDY.root / "logs/convergence_table.log",
    threads: THREADS
    params:
        spec=reads("convergence_table"),
        command=command("convergence_table"),
    message:
        "Table and figure of convergence"
    shell:
        "{params.command} > {log:q} 2>&1"


rule convergence:
    input:
        rules.convergence_table.output,
    message:
        f"Done: {STUDY.root}/tables/convergence.md"
