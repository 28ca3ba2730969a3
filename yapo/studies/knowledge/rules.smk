KNOWLEDGE = PATHS.root / "knowledge"


rule knowledge_baseline:
    input:
        rules.data.output,
        model=MODEL_FILES,
    output:
        tasks=expand(
            str(KNOWLEDGE / "tasks/culture_{task}_{country}.{kind}"),
            task=["mcq", "open_ended"],
            country=COUNTRIES,
            kind=["yaml", "jsonl"],
        ),
        rows=KNOWLEDGE / "baseline.parquet",
    log:
        PATHS.root / "logs/knowledge_baseline.log",
    threads: THREADS
    resources:
        **for_model(minutes=120),
    params:
        *settings_and_code("yapo.studies.knowledge.baseline"),
        settings=overrides_of_all,
    message:
        "General knowledge of the unsteered model"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.knowledge.baseline {params.settings} > {log:q} 2>&1"


rule knowledge_country:
    input:
        rules.data.output,
        rules.knowledge_baseline.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=chosen_vectors(
            [(CONFIG.knowledge.vector_task, CONFIG.knowledge.vector_setting)]
        ),
    output:
        rows=PATHS.study_rows("knowledge", "{language}", "{country}"),
    log:
        PATHS.root / "logs/knowledge/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code("yapo.studies.knowledge.run"),
        settings=overrides_of_all,
    message:
        "General knowledge when steered: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.knowledge.run {params.settings} country={wildcards.country:q} > {log:q} 2>&1"


# The study of side effects counts these answers too.
REPORTS["side_effects"]["inputs"] = [
    PATHS.study_rows("knowledge", language, country)
    for country, language in STUDIED["side_effects"].items()
]
