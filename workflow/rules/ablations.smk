ABLATIONS = CONFIG.studies.ablations
ABLATION_METHODS = [method for method in ABLATIONS.methods if method in METHODS]
ABLATION_SAES = [
    STUDY.ablation_sae(variant) / name
    for variant in ABLATIONS.own_autoencoders
    for name in SAE_NAMES
]

if ABLATION_SAES:

    rule ablations_sae:
        input:
            rules.data.output,
            MODEL_FILES,
            rules.layer.output,
        output:
            ABLATION_SAES,
        log:
            STUDY.root / "logs/ablations_sae.log",
        threads: THREADS
        resources:
            gpu=min(1, GPUS),
        params:
            spec=reads("ablations_sae"),
            command=command("ablations_sae", model=True),
        message:
            "Train the autoencoders of the ablations"
        shell:
            "{params.command} > {log:q} 2>&1"


rule ablations_country:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        ABLATION_SAES,
        rules.layer.output,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        STUDY.of_study("ablations_{method}", "{language}", "{country}"),
    log:
        STUDY.root / "logs/ablations/{language}-{country}-{method}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec("ablations", METHOD_CONFIG[wildcards.method]),
        command=command("ablations", for_method, for_country, model=True),
    message:
        "Ablations of {wildcards.method}: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule ablations_table:
    input:
        checked(
            ["ablations"],
            [
                STUDY.of_study(f"ablations_{method}", language, country)
                for country, language in STUDIED["ablations"].items()
                for method in ABLATION_METHODS
            ],
        ),
    output:
        expand(
            str(STUDY.root / "tables/ablations.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
        expand(
            str(STUDY.root / "figures/ablations.{kind}"),
            kind=["svg", "png"],
        ),
        STUDY.finding("ablations"),
    log:
        STUDY.root / "logs/ablations_table.log",
    threads: THREADS
    params:
        spec=reads("ablations_table"),
        command=command("ablations_table"),
    message:
        "Table and figure of the ablations"
    shell:
        "{params.command} > {log:q} 2>&1"


rule ablations:
    input:
        rules.ablations_table.output,
    message:
        f"Done: {STUDY.root}/tables/ablations.md"
