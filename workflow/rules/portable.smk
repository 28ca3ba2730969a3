rule portable:
    input:
        rules.data.output,
        rules.evaluate.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        vectors=country_files(
            "portable/{method}/{task}-{setting}.safetensors", method=METHODS
        ),
        scores=PATHS.root / "{language}/{country}/portable/validation.parquet",
    log:
        PATHS.root / "logs/portable/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code("yapo.studies.portable.run"),
        settings=overrides_of_all,
    message:
        "Free-standing vectors: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.portable.run {params.settings} country={wildcards.country:q} > {log:q} 2>&1"


rule portable_table:
    input:
        scores=refuse_unless_possible(
            ["portable"], of_all_countries("portable/validation.parquet")
        ),
    output:
        [PATHS.root / name for name in table_files("portable")],
    log:
        PATHS.root / "logs/portable_table.log",
    threads: THREADS
    params:
        *settings_and_code("yapo.studies.portable.report"),
        settings=overrides_of_all,
    message:
        "Table of free-standing vectors"
    shell:
        "python -m yapo.warm -m yapo.studies.portable.report {params.settings} > {log:q} 2>&1"


rule all_portable:
    input:
        rules.portable_table.output,
    message:
        f"Done: portable/ in each country's folder, {PATHS.root}/tables/portable.md"
