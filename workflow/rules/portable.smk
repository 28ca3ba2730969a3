rule portable:
    input:
        rules.data.output,
        MODEL_FILES,
        SAE_FILES,
        rules.layer.output,
        rules.evaluate.output,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        of_country("portable/{method}/{task}-{setting}.safetensors", method=METHODS),
        scores=STUDY.root / "{language}/{country}/portable/validation.parquet",
    log:
        STUDY.root / "logs/portable/{language}-{country}.log",
    threads: THREADS
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("portable"),
        command=command("portable", for_country, model=True),
    message:
        "Free-standing vectors: {wildcards.country}"
    shell:
        "{params.command} > {log:q} 2>&1"


rule portable_table:
    input:
        scores=checked(["portable"], of_study("portable/validation.parquet")),
    output:
        expand(
            str(STUDY.root / "tables/portable.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
    log:
        STUDY.root / "logs/portable_table.log",
    threads: THREADS
    params:
        spec=reads("portable_table"),
        command=command("portable_table"),
    message:
        "Table of free-standing vectors"
    shell:
        "{params.command} > {log:q} 2>&1"


rule all_portable:
    input:
        rules.portable_table.output,
    message:
        f"Done: portable/ in each country's folder, {STUDY.root}/tables/portable.md"
