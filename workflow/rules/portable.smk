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
    conda:
        "../../environment.yml"
    resources:
        gpu=min(1, GPUS),
    params:
        spec=reads("portable"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Free-standing vectors: {wildcards.country}"
    shell:
        "{params.python} -m yapo.lease -- {params.python} -m yapo.warm -m yapo.stages.portable {params.arguments}"
        " country={wildcards.country} > {log} 2>&1"


rule portable_table:
    input:
        scores=of_study("portable/validation.parquet"),
    output:
        expand(
            str(STUDY.root / "tables/portable.{kind}"),
            kind=["csv", "md", "tex", "html"],
        ),
    log:
        STUDY.root / "logs/portable_table.log",
    conda:
        "../../environment.yml"
    params:
        spec=reads("portable_table"),
        python=untracked(PYTHON),
        arguments=untracked(ARGUMENTS),
    message:
        "Table of free-standing vectors"
    shell:
        "{params.python} -m yapo.warm -m yapo.stages.portable_table {params.arguments} > {log} 2>&1"


rule all_portable:
    input:
        rules.portable_table.output,
    message:
        f"Done: portable/ in each country's folder, {STUDY.root}/tables/portable.md"
