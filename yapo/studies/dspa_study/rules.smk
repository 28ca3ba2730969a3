DSPA = CONFIG.studies.dspa_study
DSPA_CONFIG = METHOD_CONFIG.get("dspa", PLAIN_CONFIG)
OVERRIDES_OF_DSPA = OVERRIDES_OF.get("dspa", "")
REPORTS["dspa_study"]["config"] = DSPA_CONFIG
REPORTS["dspa_study"]["settings"] = f"{shlex.join(OVERRIDES)} {OVERRIDES_OF_DSPA}"


rule dspa_study_country:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=country_files(f"vectors/dspa/{{task}}-{DSPA.setting}.safetensors"),
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        rows=PATHS.study_rows("dspa_study", "{language}", "{country}"),
        flops=PATHS.study_rows("dspa_flops", "{language}", "{country}"),
    log:
        PATHS.root / "logs/dspa_study/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code("yapo.studies.dspa_study.run", DSPA_CONFIG),
        method=OVERRIDES_OF_DSPA,
        settings=overrides_of_all,
    message:
        "DSPA, one change at a time: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.dspa_study.run {params.settings} {params.method} country={wildcards.country:q} > {log:q} 2>&1"


rule dspa_chat:
    input:
        rules.data.output,
        DSPA.conversations,
        DSPA.instructions,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=chosen_vectors([(DSPA.chat_task, DSPA.setting)]),
    output:
        rows=PATHS.study_rows("dspa_chat", "{language}", "{country}"),
        judge=PATHS.study_rows("dspa_chat", "{language}", "{country}").with_suffix(
            ".json"
        ),
    log:
        PATHS.root / "logs/dspa_chat/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code("yapo.studies.dspa_study.chat"),
        settings=overrides_of_all,
    message:
        "Judged conversations: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.dspa_study.chat {params.settings} country={wildcards.country:q} > {log:q} 2>&1"
