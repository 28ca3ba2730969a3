from yapo.studies.between_models.source import source_files


rule between_models_country:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=chosen_vectors(get_study("between_models").vector_keys(CONFIG)),
        evaluation=rules.evaluate.output.evaluation,
        source=refusing(
            lambda wildcards: source_files(
                CONFIG, wildcards.language, wildcards.country
            )
        ),
    output:
        PATHS.study_rows("between_models", "{language}", "{country}"),
    log:
        PATHS.root / "logs/between_models/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=get_study("between_models").minutes),
    params:
        *settings_and_code("yapo.studies.between_models.run"),
        settings=overrides_of_all,
    message:
        f"{get_study('between_models').title}: {{wildcards.country}}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.between_models.run {params.settings} country={wildcards.country:q} > {log:q} 2>&1"
