rule opinions_country:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=chosen_vectors(get_study("opinions").vector_keys(CONFIG)),
        questions=refusing(
            lambda wildcards: [
                file
                for file in files_in(CONFIG.studies.opinions.path, "**/*")
                if file.is_file()
            ]
        ),
    output:
        PATHS.study_rows("opinions", "{language}", "{country}"),
    log:
        PATHS.root / "logs/opinions/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=get_study("opinions").minutes),
    params:
        *settings_and_code("yapo.studies.opinions.run"),
        settings=overrides_of_all,
    message:
        f"{get_study('opinions').title}: {{wildcards.country}}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.opinions.run {params.settings} country={wildcards.country:q} > {log:q} 2>&1"
