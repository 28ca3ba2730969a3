REPORTS["features"]["pages"] = [
    PATHS.root / "features" / f"{language}-{country}"
    for country, language in STUDIED["features"].items()
]
REPORTS["features"]["inputs"].append(PATHS.layer)


rule features_country:
    input:
        rules.data.output,
        model=MODEL_FILES,
        sae=SAE_FILES,
        layer=rules.layer.output.layer,
        vectors=country_files(
            "vectors/{method}/{task}-{setting}.safetensors", method=METHODS
        ),
        pairs=rules.prepare.output.pairs,
        store=rules.prepare.output.store,
    output:
        pages=directory(PATHS.root / "features/{language}-{country}"),
        vectors=PATHS.study_rows("features", "{language}", "{country}"),
        top=PATHS.study_rows("features_top", "{language}", "{country}"),
    log:
        PATHS.root / "logs/features/{language}-{country}.log",
    threads: THREADS
    resources:
        **for_model(minutes=480),
    params:
        *settings_and_code("yapo.studies.features.run"),
        settings=overrides_of_all,
    message:
        "Vectors described by features: {wildcards.country}"
    shell:
        "python -m yapo.lease -- python -m yapo.warm -m yapo.studies.features.run {params.settings} country={wildcards.country:q} > {log:q} 2>&1"
