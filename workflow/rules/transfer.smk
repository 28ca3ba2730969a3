TRANSFER = CONFIG.studies.transfer
LEFT_OUT = [method for method in TRANSFER.left_out_methods if method in METHODS]
TRANSFER_FIGURES = [
    *METHODS,
    *[
        f"{kind}_{variant}"
        for kind in ["relations", "answers"]
        for variant in ["localized", "nonlocalized"]
    ],
]


# Countries of each language, and the chosen vectors of all.
SPEAKERS = {
    language: [
        country for country, spoken in STUDIED["transfer"].items() if spoken == language
    ]
    for language in STUDIED["transfer"].values()
}
CHOSEN_VECTORS = [
    STUDY.vector(language, country, method, task, TRANSFER.setting)
    for country, language in STUDIED["transfer"].items()
    for method in METHODS
    for task in TASKS
]


rule transfer_left_out:
    input:
        rules.layer.output,
        SAE_FILES,
        lambda wildcards: [
            path(wildcards.language, country, task)
            for country in SPEAKERS[wildcards.language]
            for task in TASKS
            for path in [STUDY.pairs, STUDY.store]
        ],
    output:
        STUDY.root / "{language}/left_out/{method}.safetensors",
    log:
        STUDY.root / "logs/transfer_left_out/{language}-{method}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=lambda wildcards: spec(
            "transfer_left_out", METHOD_CONFIG[wildcards.method]
        ),
        command=command("transfer_left_out", for_method, for_speaker, model=True),
    message:
        "Train {wildcards.method} on all countries but one: {wildcards.language}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule transfer_country:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        CHOSEN_VECTORS,
        lambda wildcards: [
            STUDY.root / wildcards.language / f"left_out/{method}.safetensors"
            for method in LEFT_OUT
            if len(SPEAKERS.get(wildcards.language, [])) > 1
        ],
        evaluation=rules.evaluate.output.evaluation,
    output:
        STUDY.of_study("transfer", "{language}", "{country}"),
    log:
        STUDY.root / "logs/transfer/{language}-{country}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("transfer"),
        command=command("transfer", for_country, model=True),
    message:
        "Vectors of all countries: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule transfer_table:
    input:
        checked(
            ["transfer"],
            [
                STUDY.of_study("transfer", language, country)
                for country, language in STUDIED["transfer"].items()
            ],
        ),
    output:
        expand(
            str(STUDY.root / "tables/{table}.{kind}"),
            table=["transfer", "transfer_pairs"],
            kind=["csv", "md", "tex", "html"],
        ),
        expand(
            str(STUDY.root / "figures/transfer_{figure}.{kind}"),
            figure=TRANSFER_FIGURES,
            kind=["svg", "png"],
        ),
        STUDY.finding("transfer"),
    log:
        STUDY.root / "logs/transfer_table.log",
    threads: THREADS
    params:
        spec=reads("transfer_table"),
        command=command("transfer_table"),
    message:
        "Table and figures of transfer between countries"
    shell:
        "{params.command} > {log:q} 2>&1"


rule transfer:
    input:
        rules.transfer_table.output,
    message:
        f"Done: {STUDY.root}/tables/transfer.md"
