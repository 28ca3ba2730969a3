KNOWLEDGE = STUDY.root / "knowledge"


rule knowledge_baseline:
    input:
        rules.data.output,
        MODEL_FILES,
    output:
        expand(
            str(KNOWLEDGE / "tasks/culture_{task}_{country}.{kind}"),
            task=["mcq", "open_ended"],
            country=COUNTRIES,
            kind=["yaml", "jsonl"],
        ),
        KNOWLEDGE / "baseline.parquet",
    log:
        STUDY.root / "logs/knowledge_baseline.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("knowledge_baseline"),
        command=command("knowledge_baseline", model=True),
    message:
        "What the unsteered model knows"
    shell:
        "{params.command} > {log:q} 2>&1"


rule knowledge_country:
    input:
        rules.data.output,
        rules.layer.output,
        rules.knowledge_baseline.output,
        MODEL_FILES,
        SAE_FILES,
        of_country(
            "vectors/{method}/{vector}.safetensors",
            method=METHODS,
            vector=f"{CONFIG.knowledge.vector_task}-{CONFIG.knowledge.vector_setting}",
        ),
    output:
        STUDY.root / "{language}/{country}/knowledge.parquet",
    log:
        STUDY.root / "logs/knowledge/{language}-{country}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("knowledge"),
        command=command("knowledge", for_country, model=True),
    message:
        "What the model knows when steered: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule knowledge_table:
    input:
        checked(
            ["knowledge"],
            [
                STUDY.country(language, country) / "knowledge.parquet"
                for country, language in STUDIED["knowledge"].items()
            ],
        ),
    output:
        expand(
            str(STUDY.root / "tables/knowledge.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
        expand(str(STUDY.root / "figures/knowledge.{kind}"), kind=["svg", "png"]),
        STUDY.finding("knowledge"),
    log:
        STUDY.root / "logs/knowledge_table.log",
    threads: THREADS
    params:
        spec=reads("knowledge_table"),
        command=command("knowledge_table"),
    message:
        "Table and figure of general knowledge"
    shell:
        "{params.command} > {log:q} 2>&1"


rule knowledge:
    input:
        rules.knowledge_table.output,
    message:
        f"Done: {STUDY.root}/tables/knowledge.md"
