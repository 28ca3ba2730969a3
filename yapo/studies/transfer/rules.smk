TRANSFER = CONFIG.studies.transfer
LEFT_OUT = [method for method in TRANSFER.left_out_methods if method in METHODS]
COUNTRIES_OF_LANGUAGE = {
    language: [
        country for country, spoken in STUDIED["transfer"].items() if spoken == language
    ]
    for language in STUDIED["transfer"].values()
}


rule transfer_left_out:
    input:
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        pairs=lambda wildcards: [
            path(wildcards.language, country, task)
            for country in COUNTRIES_OF_LANGUAGE[wildcards.language]
            for task in TASKS
            for path in [PATHS.pairs, PATHS.store]
        ],
    output:
        vectors=PATHS.root / "{language}/left_out/{method}.safetensors",
    log:
        PATHS.root / "logs/transfer_left_out/{language}-{method}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code_by_method("yapo.studies.transfer.left_out"),
        method=overrides_of_method,
        # The job takes all countries of the language; its command names one.
        country=lambda wildcards: shlex.quote(
            COUNTRIES_OF_LANGUAGE[wildcards.language][0]
        ),
        settings=overrides_of_all,
    message:
        "Train {wildcards.method} on all countries but one: {wildcards.language}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.transfer.left_out {params.settings} {params.method} country={params.country} > {log:q} 2>&1"


rule transfer_country:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=[
            PATHS.vector(language, country, method, task, TRANSFER.setting)
            for country, language in STUDIED["transfer"].items()
            for method in METHODS
            for task in TASKS
        ],
        left_out=lambda wildcards: [
            PATHS.root / wildcards.language / f"left_out/{method}.safetensors"
            for method in LEFT_OUT
            if len(COUNTRIES_OF_LANGUAGE.get(wildcards.language, [])) > 1
        ],
        evaluation=rules.evaluate.output.evaluation,
    output:
        rows=PATHS.study_rows("transfer", "{language}", "{country}"),
    log:
        PATHS.root / "logs/transfer/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code("yapo.studies.transfer.run"),
        settings=overrides_of_all,
    message:
        "Vectors of all countries: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.transfer.run {params.settings} country={wildcards.country:q} > {log:q} 2>&1"
